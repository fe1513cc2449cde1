//! Hexadecimal text: written in small letters, read in both.

use std::fmt::Write as _;

/// `bytes` in small hexadecimal digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that `text` spells; `None` unless it is exactly two digits for each of them.
#[must_use]
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    decode_into(text, &mut bytes)?;
    Some(bytes)
}

/// As [`decode`], for a length that is not known before.
#[must_use]
pub fn decode_vec(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; text.len() / 2];
    decode_into(text, &mut bytes)?;
    Some(bytes)
}

fn decode_into(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(())
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_bytes_in_digits_are_read() {
        assert_eq!(decode::<2>(b"00fF"), Some([0, 255]));
        assert_eq!(encode(&[0, 255, 16]), "00ff10");
        for text in ["", "0", "00f", "00ff0", "00fg", " 0ff", "+0ff", "00ff00"] {
            assert_eq!(decode::<2>(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(decode_vec(b""), Some(Vec::new()));
        assert_eq!(decode_vec(b"abc"), None);
    }
}
