use proptest::prelude::*;
use quick_xml::Reader;
use serde_json::{Map, Value, json};

use super::*;

fn write(document: &Document, value: &Value) -> String {
    String::from_utf8(document.write(&serde_json::to_vec(value).unwrap()).unwrap()).unwrap()
}

/// What a client reads: an element's name, attributes, children and text.
#[derive(Debug, Default)]
struct Node {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Node>,
    text: String,
}

/// Reads a document, which must be well-formed.
fn read(xml: &str) -> Node {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut open = vec![Node::default()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => open.push(Node {
                name: start.name().as_ref().to_owned(),
                attributes: start
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap();
                        (attribute.key.as_ref().to_owned(), value.into_owned())
                    })
                    .collect(),
                ..Node::default()
            }),
            Event::End(_) => {
                let done = open.pop().unwrap();
                open.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => open.last_mut().unwrap().text += &text.xml10_content(),
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().unwrap() {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&reference).unwrap().to_owned(),
                };
                open.last_mut().unwrap().text += &text;
            }
            Event::Decl(_) => {}
            Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    let mut root = open.pop().unwrap();
    assert!(open.is_empty() && root.children.len() == 1 && root.text.is_empty(), "{xml}");
    root.children.remove(0)
}

impl Node {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The mapping, backwards.
    fn json(&self) -> Value {
        match self.attribute("type") {
            None if self.attribute("encoding") == Some("base64") => decode(&self.text).into(),
            None => self.text.clone().into(),
            Some("object") => {
                self.children.iter().map(|child| (child.key(), child.json())).collect::<Map<_, _>>().into()
            }
            Some("array") => {
                assert!(self.children.iter().all(|child| child.name == "item"));
                self.children.iter().map(Self::json).collect()
            }
            Some("null" | "boolean" | "number") => {
                let text = if self.text.is_empty() { "null" } else { &self.text };
                serde_json::from_str(text).unwrap()
            }
            Some(other) => panic!("{other}"),
        }
    }

    fn key(&self) -> String {
        match (self.attribute("name"), self.attribute("name-encoding")) {
            (None, _) => self.name.clone(),
            (Some(name), None) => name.to_owned(),
            (Some(name), Some(_)) => decode(name),
        }
    }

    fn texts(&self) -> Vec<String> {
        let inner = self.children.iter().flat_map(Self::texts);
        std::iter::once(self.text.clone()).filter(|text| !text.is_empty()).chain(inner).collect()
    }
}

fn decode(base64: &str) -> String {
    String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Characters of every kind, those that matter to XML more often.
fn string() -> impl Strategy<Value = String> {
    let special = prop::sample::select(
        "<>&'\"]\r\n\t \0\u{1}\u{8}\u{B}\u{1F}\u{7F}\u{85}\u{FFFE}\u{FFFF}:-.x".chars().collect::<Vec<_>>(),
    );
    let word = prop::sample::select(vec!["item", "entry", "type", "xml", "XmlNode", "a:b", "]]>", "<!--", "&amp;", ""]);
    prop_oneof![
        4 => prop::collection::vec(prop_oneof![special, any::<char>()], 0..8).prop_map(String::from_iter),
        1 => word.prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Eighths are exact in both notations.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((string(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_comes_back_from_its_xml(value in value()) {
        let xml = write(&RESPONSE, &value);
        prop_assert_eq!(read(&xml).json(), value, "{}", xml);
    }

    #[test]
    fn a_problem_keeps_every_text_that_xml_can_hold(value in value()) {
        let node = read(&write(&PROBLEM, &value));
        prop_assert_eq!(&node.attributes, &[("xmlns".to_owned(), "urn:ietf:rfc:7807".to_owned())]);
        let texts = node.texts();
        for text in strings(&value).into_iter().filter(|text| !text.is_empty()) {
            prop_assert!(texts.iter().any(|held| *held == holdable(&text)), "{:?} is not in {:?}", text, texts);
        }
    }
}

#[test]
fn it_looks_as_documented() {
    let value = r#"{"text":"a < b","list":[1,-2.5,null,true],"none":{},"1st":"","bell":"\u0007","\u0007":"x"}"#;
    assert_eq!(
        String::from_utf8(RESPONSE.write(value.as_bytes()).unwrap()).unwrap(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><response type=\"object\"><text>a &lt; b</text><list type=\"array\">\
         <item type=\"number\">1</item><item type=\"number\">-2.5</item><item type=\"null\"></item>\
         <item type=\"boolean\">true</item></list><none type=\"object\"></none><entry name=\"1st\"></entry>\
         <bell encoding=\"base64\">Bw==</bell><entry name=\"Bw==\" name-encoding=\"base64\">x</entry></response>",
    );
    let problem = json!({"status": 422, "errors": [{"pointer": "/a", "detail": "\u{7}"}]});
    assert_eq!(
        write(&PROBLEM, &problem),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><problem xmlns=\"urn:ietf:rfc:7807\">\
         <errors><i><detail>\u{FFFD}</detail><pointer>/a</pointer></i></errors><status>422</status></problem>",
    );
}

#[test]
fn what_is_no_json_and_what_nests_too_deeply_is_refused() {
    for json in ["", "{", "[1] 2", "nul"] {
        assert!(RESPONSE.write(json.as_bytes()).is_err(), "{json}");
    }
    let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
    assert!(RESPONSE.write(nested(127).as_bytes()).is_ok());
    assert!(RESPONSE.write(nested(128).as_bytes()).is_err());
}
