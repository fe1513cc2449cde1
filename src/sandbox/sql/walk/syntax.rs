//! Functions with a syntax of their own, and units of time.

use sqlparser::ast::{CeilFloorKind, DateTimeField, Expr, ExtractSyntax, Interval, TrimWhereField};

use super::Walker;
use crate::error::Result;
use crate::sandbox::sql::not_understood;

impl Walker<'_> {
    /// Functions with a syntax of their own.
    pub(super) fn function_like(&mut self, expression: &Expr) -> Result<()> {
        match expression {
            Expr::Convert { is_try: false, expr, data_type, charset, target_before_value: false, styles } => {
                if let Some(data_type) = data_type {
                    self.data_type(data_type)?;
                }
                if let Some(charset) = charset {
                    self.collation(charset)?;
                }
                self.expressions(styles)?;
                self.expression(expr)
            }
            Expr::Extract { field, syntax, expr } => {
                match syntax {
                    ExtractSyntax::From => self.counts.from += 1,
                    ExtractSyntax::Comma => {}
                }
                self.time_field(field)?;
                self.expression(expr)
            }
            Expr::Ceil { expr, field } | Expr::Floor { expr, field } => {
                self.rounding(field)?;
                self.expression(expr)
            }
            Expr::Position { expr, r#in } => {
                self.expression(expr)?;
                self.expression(r#in)
            }
            Expr::Substring { expr, substring_from, substring_for, special, shorthand: _ } => {
                self.counts.from += usize::from(!*special && substring_from.is_some());
                self.optional(substring_from.as_deref())?;
                self.optional(substring_for.as_deref())?;
                self.expression(expr)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                match trim_where {
                    None | Some(TrimWhereField::Both | TrimWhereField::Leading | TrimWhereField::Trailing) => {}
                }
                self.counts.from += usize::from(trim_what.is_some());
                self.optional(trim_what.as_deref())?;
                self.expressions(trim_characters.as_deref().unwrap_or_default())?;
                self.expression(expr)
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.counts.from += 1;
                self.expression(overlay_what)?;
                self.expression(overlay_from)?;
                self.optional(overlay_for.as_deref())?;
                self.expression(expr)
            }
            _ => Err(not_understood("this expression is not understood")),
        }
    }

    pub(super) fn rounding(&mut self, field: &CeilFloorKind) -> Result<()> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => Ok(()),
            CeilFloorKind::DateTimeField(_) => Err(not_understood("CEIL and FLOOR take no date field")),
            CeilFloorKind::Scale(value) => {
                self.literal(value);
                Ok(())
            }
        }
    }

    pub(super) fn interval(&mut self, interval: &Interval) -> Result<()> {
        let Interval { value, leading_field, leading_precision: _, last_field, fractional_seconds_precision: _ } =
            interval;
        for field in [leading_field, last_field].into_iter().flatten() {
            self.time_field(field)?;
        }
        self.expression(value)
    }

    /// Unit of EXTRACT and INTERVAL. Those that the parser has no word for are names of fields for the database too.
    pub(super) fn time_field(&mut self, field: &DateTimeField) -> Result<()> {
        match field {
            DateTimeField::Custom(ident) => self.name(ident),
            DateTimeField::Week(None) => Ok(()),
            DateTimeField::Week(Some(_)) | DateTimeField::NoDateTime => {
                Err(not_understood("this unit of time is not understood"))
            }
            // Units are words of a fixed list; what they mean can't reach beyond the value.
            DateTimeField::Year
            | DateTimeField::Years
            | DateTimeField::Month
            | DateTimeField::Months
            | DateTimeField::Weeks
            | DateTimeField::Day
            | DateTimeField::DayOfWeek
            | DateTimeField::DayOfYear
            | DateTimeField::Days
            | DateTimeField::Date
            | DateTimeField::Datetime
            | DateTimeField::Hour
            | DateTimeField::Hours
            | DateTimeField::Minute
            | DateTimeField::Minutes
            | DateTimeField::Second
            | DateTimeField::Seconds
            | DateTimeField::Century
            | DateTimeField::Decade
            | DateTimeField::Dow
            | DateTimeField::Doy
            | DateTimeField::Epoch
            | DateTimeField::Isodow
            | DateTimeField::Isoyear
            | DateTimeField::IsoWeek
            | DateTimeField::Julian
            | DateTimeField::Microsecond
            | DateTimeField::Microseconds
            | DateTimeField::Millenium
            | DateTimeField::Millennium
            | DateTimeField::Millisecond
            | DateTimeField::Milliseconds
            | DateTimeField::Nanosecond
            | DateTimeField::Nanoseconds
            | DateTimeField::Quarter
            | DateTimeField::Time
            | DateTimeField::Timezone
            | DateTimeField::TimezoneAbbr
            | DateTimeField::TimezoneHour
            | DateTimeField::TimezoneMinute
            | DateTimeField::TimezoneRegion => Ok(()),
        }
    }
}
