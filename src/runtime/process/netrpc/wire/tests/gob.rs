use super::*;

#[test]
fn values_of_every_kind_are_read() {
    // struct{A int; B uint; C float64; D complex128; E []string; F [2]bool; G map[string]int; H any; I time.Time;
    // J struct{}}: made by Go 1.26.
    let stream = hex(include_str!("../../../../../../tests/fixtures/netrpc/kinds.hex"));
    let values = decode(&stream).unwrap();
    let [Value::Struct(fields)] = &values[..] else { panic!("{values:?}") };
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    assert_eq!(
        fields,
        [
            "A=Int(-5)",
            "B=Uint(70000)",
            "C=Float(1.5)",
            "D=Complex(1.0, -2.0)",
            "E=List([Text(\"x\"), Text(\"\")])",
            "F=List([Bool(true), Bool(false)])",
            "G=Map([(Text(\"k\"), Int(7))])",
            "H=Null",
            "I=Bytes([1, 0, 0, 0, 14, 119, 145, 247, 0, 0, 0, 0, 0, 255, 255])",
            "K=Uint(9)",
        ]
    );
}

#[test]
fn types_that_are_bombs_are_refused() {
    let recursive = struct_type(65, &[("Next", 65)]);
    let deep = gob_message(&[&[0xff, 130][..], &[1; 100], &[0; 101]].concat());
    let list = gob_message(&[0xff, 129, 2, 1, 2, 0xff, 130, 0, 1, 2, 0, 0]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("recursion", [recursive, deep].concat(), "a gob value nests more than 32 deep"),
        (
            "a count without elements",
            [list.clone(), gob_message(&[0xff, 130, 0, 0xfc, 0x7f, 0xff, 0xff, 0xff])].concat(),
            "a gob message of 0 bytes says that 2147483647 elements follow",
        ),
        (
            "more values than are kept",
            [list, gob_message(&[&[0xff, 130, 0, 0xfd, 1, 0, 1][..], &[1; 65537]].concat())].concat(),
            "a gob message has more than 65536 values",
        ),
        (
            "more types than are kept",
            (64..400).flat_map(|id| struct_type(id, &[])).collect(),
            "more than 256 gob types are described",
        ),
        (
            "more fields than are kept",
            (64..300).flat_map(|id| struct_type(id, &[("A", 2); 64])).collect(),
            "the gob types have more than 4096 fields",
        ),
        (
            "a type twice",
            [struct_type(65, &[]), struct_type(65, &[])].concat(),
            "the gob type 65 is described a second time",
        ),
        ("a basic type", struct_type(6, &[]), "the gob type 6 is described a second time"),
        (
            "a field far away",
            [struct_type(65, &[("A", 2)]), gob_message(&[0xff, 130, 0xf8, 255, 255, 255, 255, 255, 255, 255, 255, 1])]
                .concat(),
            "a gob value has a field 18446744073709551615 places behind the one before",
        ),
        (
            "a field that the type does not have",
            [struct_type(65, &[("A", 2)]), gob_message(&[0xff, 130, 2, 1, 0])].concat(),
            "a gob struct of 1 fields has a field 2",
        ),
        (
            "an array of another length",
            // [3]int.
            [gob_message(&[0xff, 129, 1, 1, 2, 0xff, 130, 0, 1, 4, 1, 6, 0, 0]), gob_message(&[0xff, 130, 0, 2, 2, 2])]
                .concat(),
            "a gob array of 3 elements has 2",
        ),
        ("an unknown type", gob_message(&[0xff, 130, 0, 0]), "a gob value has the type 65, which was not described"),
        ("a longer number", gob_message(&[0xf7, 1, 1, 1, 1, 1, 1, 1, 1, 1]), "a gob number has 9 bytes"),
        ("half a message", gob_message(&[12, 0, 9, 65]), "a gob message of 1 bytes says that 9 elements follow"),
        ("a message in a message", gob_message(&[12, 0, 1, 65, 66]), "1 bytes stand behind a gob value"),
        ("no message", vec![0], "a gob message has 0 bytes"),
        ("a length beyond all", hex("f87fffffffffffffff"), "a gob message has 9223372036854775807 bytes"),
        (
            "the smallest number as a type",
            gob_message(&hex("f8ffffffffffffffff00")),
            "the gob type 0 is described a second time",
        ),
    ];
    for (name, stream, clause) in cases {
        assert_eq!(decode(&stream), Err(text(clause)), "{name}");
    }
}

#[test]
fn a_message_that_is_too_large_is_passed_over() {
    let (mut framer, mut seen) = (Framer::default(), Vec::new());
    let large = gob_message(&vec![7; 100_000]);
    for piece in [large, gob_message(b"abc")].concat().chunks(999) {
        framer.push(piece);
        while let Some(frame) = framer.next(1000).unwrap() {
            seen.push(frame);
        }
    }
    assert_eq!(seen, [Frame::TooLarge(100_000), Frame::Message(b"abc".to_vec())]);
}
