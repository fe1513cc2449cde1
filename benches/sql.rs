//! The SQL gate, for a statement that it sees for the first time and for one that it has seen, beside what the parser alone
//! needs for the same text and beside a look-up in a map of statements; in turn within each round. Prints medians and their
//! spread. The gated call as a whole, from the guest and back, is a path of the bench `call`.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use goatflow_plugin::sandbox::sql::{Dialect, FactsCache, SqlProfile, analyse};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

const ROUNDS: usize = 9;
const CALLS: u32 = 2_000;

const STATEMENTS: &[(&str, &str)] = &[
    ("point, 59 B", "SELECT id, title, state_id FROM ticket WHERE id = $1 LIMIT 1"),
    (
        "join, 207 B",
        "SELECT t.id, t.title, q.name, c.email FROM ticket t JOIN queue q ON q.id = t.queue_id LEFT JOIN customer c ON c.id = \
         t.customer_id WHERE t.state_id IN (1, 2, 3) AND t.created > $1 ORDER BY t.id DESC LIMIT 50",
    ),
    (
        "CTE, 328 B",
        "WITH open_ticket AS (SELECT id, queue_id, owner_id FROM ticket WHERE state_id IN (SELECT id FROM ticket_state WHERE \
         type_id = 1)) SELECT q.name, count(*) AS n, max(a.created) AS latest FROM open_ticket o JOIN queue q ON q.id = \
         o.queue_id LEFT JOIN article a ON a.ticket_id = o.id WHERE o.owner_id <> $1 GROUP BY q.name HAVING count(*) > 1 ORDER \
         BY n DESC",
    ),
];

/// Nanoseconds per call.
fn time(mut call: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    started.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (median, least, most) = (values[values.len() / 2], values[0], values[values.len() - 1]);
    format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
}

fn main() {
    let profile = SqlProfile {
        dialect: Dialect::Postgres,
        default_schema: Some("public".to_owned()),
        extra_functions: Vec::new(),
    };
    println!(
        "{:12} {:>24} {:>24} {:>18} {:>18} {:>14}",
        "statement", "parser alone ns", "first sight ns", "ratio", "repeated ns", "map get ns"
    );
    for (name, sql) in STATEMENTS {
        let cache = FactsCache::default();
        let map: HashMap<String, usize> = [((*sql).to_owned(), 1)].into();
        analyse(&profile, sql).expect("the gate understands the statement");
        let mut columns: [Vec<f64>; 5] = Default::default();
        for _ in 0..ROUNDS {
            let parser = time(|| drop(black_box(Parser::parse_sql(&PostgreSqlDialect {}, black_box(sql)))));
            let first = time(|| drop(black_box(analyse(&profile, black_box(sql)))));
            let repeated = time(|| drop(black_box(cache.get_or_analyse(&profile, black_box(sql)))));
            let map_get = time(|| {
                black_box(map.get(black_box(*sql)));
            });
            for (column, value) in columns.iter_mut().zip([parser, first, first / parser, repeated, map_get]) {
                column.push(value);
            }
        }
        let [parser, first, ratio, repeated, map_get] = columns;
        println!(
            "{name:12} {:>24} {:>24} {:>18} {:>18} {:>14}",
            spread(parser, 0),
            spread(first, 0),
            spread(ratio, 2),
            spread(repeated, 0),
            spread(map_get, 0)
        );
    }
}
