//! What the decoder takes and what it refuses, by literal bytes and by properties.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{INVALID_PARAMS, INVALID_REQUEST, MOST_DIGITS, Message, PARSE_ERROR, Request, decode, judge};

fn request(body: &[u8]) -> Request<'_> {
    match decode(body) {
        Ok(Message::Request(request)) => request,
        other => panic!("{} is a request, and not {other:?}", String::from_utf8_lossy(body)),
    }
}

#[track_caller]
fn refused(body: impl AsRef<[u8]>, code: i32, id: Option<&str>, message: &str) {
    let body = body.as_ref();
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
    let fault = decode(body).expect_err(&shown);
    assert_eq!((fault.code, fault.id.map(|id| id.as_json())), (code, id), "{shown}: {}", fault.message);
    assert!(fault.message.contains(message), "{shown}: {:?} does not say {message:?}", fault.message);
}

#[test]
fn a_request_is_read_to_the_letter() {
    let body = br#" {"id" : 7 , "jsonrpc":"2.0","params": {"arguments" : { "a" : 1.50 } ,"name":"add"},"method":"tools/call"} "#;
    let request = request(body);
    assert_eq!((request.id.as_json(), &*request.method), ("7", "tools/call"));
    assert_eq!(request.params.arguments.map(|raw| raw.get()), Some(r#"{ "a" : 1.50 }"#));
    assert_eq!(request.params.name.map(|raw| raw.get()), Some(r#""add""#));
    assert!(request.params.meta.is_none());
}

#[test]
fn what_has_no_id_is_a_notification() {
    let Ok(Message::Notification(notification)) = decode(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
    else {
        panic!("it has no id");
    };
    assert_eq!(notification.method, "notifications/initialized");
}

#[test]
fn an_id_is_a_string_or_an_integer_and_comes_back_as_it_came() {
    for id in ["0", "-0", "-1", "9007199254740993", "123456789012345678901234567890", r#""""#, r#""a\u0041\n""#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        assert_eq!(request(body.as_bytes()).id.as_json(), id);
    }
    let longest = "9".repeat(MOST_DIGITS);
    for id in [longest.clone(), format!("-{longest}")] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        assert_eq!(request(body.as_bytes()).id.as_json(), id);
        assert!(serde_json::from_str::<Value>(&id).is_ok(), "others can read it");
        let longer = format!(r#"{{"jsonrpc":"2.0","id":{id}0,"method":"ping"}}"#);
        refused(longer, INVALID_REQUEST, None, "at most 300 digits");
    }
    for id in ["null", "true", "false", "1.0", "1.5", "1e3", "-1E2", "[]", "[1]", "{}"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        refused(body, INVALID_REQUEST, None, "`id` must be a string or an integer");
    }
}

#[test]
fn a_body_that_is_not_json_has_no_id() {
    for body in [
        "",
        " ",
        "{",
        "tools/list",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#,
        r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"arguments":{"a":}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"skipped":[1,}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"skipped":[[1,]}}"#,
        r#"{'jsonrpc':'2.0'}"#,
        r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#,
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\nng\"}",
    ] {
        refused(body, PARSE_ERROR, None, "the body is not JSON");
    }
    refused(r#"{"jsonrpc":"2.0","id":1,"method":"ping"#, PARSE_ERROR, None, "does not end");
}

#[test]
fn a_wrong_type_does_not_hide_broken_syntax_behind_it() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"params":5,"method":}"#,
        r#"{"jsonrpc":"2.0","id":1,"params":{"_meta":5},,}"#,
        r#"[1,2"#,
        r#"5 5"#,
        r#"{"id":null,"#,
    ] {
        refused(body, PARSE_ERROR, None, "the body is not JSON");
    }
}

#[test]
fn what_is_no_single_object_is_no_message() {
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
    refused(batch, INVALID_REQUEST, None, "batches are not part of this protocol");
    // A derived struct would read this array as the members of a request, one after the other.
    refused(r#"["2.0",1,"ping",{}]"#, INVALID_REQUEST, None, "batches");
    for body in ["[]", " [1]", "5", "\"ping\"", "null", "true"] {
        refused(body, INVALID_REQUEST, None, "a message is one JSON object");
    }
}

#[test]
fn the_envelope_is_checked_in_order() {
    refused("{}", INVALID_REQUEST, None, "`jsonrpc` must be \"2.0\"");
    refused(r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST, Some("1"), "`jsonrpc`");
    for version in [r#""1.0""#, "2.0", "2", "null", r#""2.0 ""#] {
        let body = format!(r#"{{"jsonrpc":{version},"id":"x","method":"ping"}}"#);
        refused(body, INVALID_REQUEST, Some(r#""x""#), "`jsonrpc`");
    }
    refused(r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST, Some("1"), "`method` is missing");
    for method in ["null", "5", "[]", "{}", "true"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method}}}"#);
        refused(body, INVALID_REQUEST, Some("1"), "`method` must be a string");
    }
    for params in ["null", "5", "[]", r#"[{"name":"x"}]"#, r#""x""#, "true"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{params}}}"#);
        refused(body, INVALID_REQUEST, Some("1"), "`params` must be an object");
    }
    for meta in ["null", "5", "[]", r#""x""#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{meta}}}}}"#);
        refused(body, INVALID_PARAMS, Some("1"), "`params._meta` must be an object");
    }
}

#[test]
fn an_escape_changes_no_word_of_the_envelope() {
    let body = br#"{"\u006asonrpc":"\u0032.0","i\u0064":1,"method":"\u0070ing"}"#;
    assert_eq!((request(body).id.as_json(), &*request(body).method), ("1", "ping"));
}

#[test]
fn a_response_is_refused() {
    for outcome in [r#""result":{}"#, r#""error":{"code":1,"message":"no"}"#, r#""result":null"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":5,{outcome}}}"#);
        refused(body, INVALID_REQUEST, Some("5"), "this is a JSON-RPC response");
    }
}

#[test]
fn a_key_stands_once_in_an_object_wherever_it_is() {
    for (body, key) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "id"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#, "method"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#, "params"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":1,"x":1}"#, "x"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","":1,"":1}"#, ""),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"name":"a","name":"b"}}"#, "name"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"k":1,"k":2}}}"#, "k"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"arguments":{"a":[{"b":1,"c":{},"b":2}]}}}"#, "b"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","y":[[{"z":{},"z":[]}]]}"#, "z"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u0069d":2}"#, "id"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":{"\u00e9":1,"é":1}}"#, "é"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":{"\ud83d\ude00":1,"😀":1}}"#, "😀"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":{"\/":1,"/":1}}"#, "/"),
    ] {
        refused(body, PARSE_ERROR, None, &format!("the key {key:?} stands twice"));
    }
    // Not twice in one object, and not twice as a key.
    request(br#"{"jsonrpc":"2.0","id":1,"method":"id","x":{"id":"id","y":["id","id"]},"y":[{"id":1},{"id":1}],"I":1,"i":1}"#);
}

#[test]
fn a_key_among_very_many_is_found_twice_without_comparing_each_to_each() {
    let keys = (0..200_000).map(|n| format!(r#""k{n}":0"#)).collect::<Vec<_>>().join(",");
    let with =
        |last: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"arguments":{{{keys}{last}}}}}}}"#);
    request(with("").as_bytes());
    for again in ["k0", "k31", "k32", "k199999"] {
        refused(with(&format!(r#","{again}":0"#)), PARSE_ERROR, None, &format!("the key {again:?} stands twice"));
    }
}

#[test]
fn two_objects_may_have_the_same_many_keys() {
    let keys = (0..100).map(|n| format!(r#""k{n}":0"#)).collect::<Vec<_>>().join(",");
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","x":[{{{keys}}},{{{keys}}}],"y":{{"z":{{{keys}}},{keys}}}}}"#);
    request(body.as_bytes());
}

#[test]
fn a_very_long_key_is_not_repeated_whole() {
    let key = "k".repeat(100_000);
    let body = format!(r#"{{"{key}":1,"{key}":1}}"#);
    let fault = decode(body.as_bytes()).expect_err("a key stands twice");
    assert!(fault.message.len() < 300, "{} bytes", fault.message.len());
}

#[test]
fn sixty_four_levels_are_read_and_no_more() {
    // The envelope, the parameters and the arguments are three.
    let nested = |levels: usize, open: &str, close: &str| {
        let (open, close) = (open.repeat(levels - 3), close.repeat(levels - 3));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"arguments":{{"a":{open}0{close}}}}}}}"#)
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        request(nested(64, open, close).as_bytes());
        refused(nested(65, open, close), PARSE_ERROR, None, "deeper than 64 levels");
        refused(nested(100_000, open, close), PARSE_ERROR, None, "deeper than 64 levels");
    }
    refused("[".repeat(1_000_000), PARSE_ERROR, None, "deeper than 64 levels");
}

#[test]
fn text_that_is_no_text_is_refused_even_where_nobody_reads_it() {
    for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf8\x88\x80\x80\x80"] {
        let body = [br#"{"jsonrpc":"2.0","id":1,"method":"m","skipped":""#, bytes, br#""}"#].concat();
        refused(body, PARSE_ERROR, None, "the body is not UTF-8: byte 48");
    }
}

#[test]
fn half_of_a_surrogate_pair_is_refused_even_where_nobody_reads_it() {
    let with =
        |text: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"arguments":{{"a":"{text}"}}}}}}"#);
    for half in [
        r"\ud800",
        r"\uDBFFx",
        r"\udc00",
        r"\ude00\ud83d",
        r"\ud83d\u0041",
        r"\ud83d\ud83d\ude00",
        r"\ud83d\n",
        r"\ud83d\\ude00",
    ] {
        refused(with(half), PARSE_ERROR, None, "half of a surrogate pair");
    }
    for whole in [r"\ud83d\ude00", r"\uD83D\uDE00\uffff", r"\\ud800", r"\u0000"] {
        request(with(whole).as_bytes());
    }
    for nothing in [r"\u12", r"\uzzzz", r"\x", r"\u+123"] {
        refused(with(nothing), PARSE_ERROR, None, "the body is not JSON");
    }
}

/// A value without nonsense of its own: what JSON can hold, 4 levels deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            object(inner).prop_map(Value::from)
        ]
    })
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(text(), values, 0..8).prop_map(|members| members.into_iter().collect())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-c]{0,2}", r#"["\\/\n\u{0}-\u{1f}\u{7f}\u{1f600}{}\[\],:]{0,8}"#]
}

fn id() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::from), any::<u64>().prop_map(Value::from), text().prop_map(Value::from)]
}

/// Bytes that are JSON, nearly JSON, or nothing of the kind.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"jsonrpc\"",
        "\"2.0\"",
        "\"id\"",
        "\"\\u0069d\"",
        "\"method\"",
        "\"params\"",
        "\"_meta\"",
        "\"a\"",
        "\"\"",
        "null",
        "true",
        "1",
        "-0",
        "1.5",
        "1e999",
        " ",
        "\n",
        "\\ud800",
        "é",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",",
        "\"params\":{",
        "\"arguments\":{",
    ]);
    let message = (id(), text(), value()).prop_map(|(id, method, arguments)| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"arguments": arguments}})
            .to_string()
            .into_bytes()
    });
    let unit = prop::sample::select(vec![r"\ud800", r"\uDBFF", r"\udc00", r"\uDFFF", r"\ud7ff", r"\ue000", "d800"]);
    let changed = (message, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4));
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes()),
        prop::collection::vec(unit, 0..4).prop_map(|units| format!("\"{}\"", units.concat()).into_bytes()),
        "[-+]?[0-9]{0,3}[.]?[0-9]{0,2}([eE][-+]?)?[0-9]{0,2}".prop_map(String::into_bytes),
        r#""(\\[ubfnrtx"/\\]?|[dD89][8cCdDeE]|[0-9a-fA-F]{2}|[ -~\n])*""#.prop_map(String::into_bytes),
        "[ \\t\\r\\n\\x0b]?(true|false|null|tru|nulll|True|[\\[\\]{},]{0,6})[ \\t\\r\\n]?".prop_map(String::into_bytes),
        changed.prop_map(|(mut message, changes)| {
            for (place, byte) in changes {
                let place = place.index(message.len());
                message[place] = byte;
            }
            message
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_that_was_encoded_is_decoded_to_the_same(
        id in id(), method in text(), arguments in value(), members in object(value()), pretty in any::<bool>(),
    ) {
        let mut params = members;
        params.remove("_meta");
        params.insert("arguments".to_owned(), arguments.clone());
        let whole = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params, "more": arguments});
        let body = if pretty { serde_json::to_vec_pretty(&whole) } else { serde_json::to_vec(&whole) }.unwrap();
        let request = request(&body);
        prop_assert_eq!(request.id.as_json(), id.to_string());
        prop_assert_eq!(&*request.method, method);
        let text = request.params.arguments.unwrap().get();
        if pretty {
            prop_assert_eq!(
                serde_json::from_str::<Value>(text).unwrap(),
                serde_json::from_str::<Value>(&arguments.to_string()).unwrap()
            );
        } else {
            prop_assert_eq!(text, arguments.to_string());
        }
    }

    #[test]
    fn the_reader_takes_what_serde_json_takes_where_each_key_stands_once(body in bytes()) {
        judge::read(&body, &body);
    }

    #[test]
    fn whatever_is_decoded_is_the_same_document_to_others_and_the_rules_of_the_envelope_decide(body in bytes()) {
        judge::decode(&body, &body);
    }
}
