use actix_web::test::TestRequest;

use super::*;

fn wanted(accept: &[&str]) -> Option<Form> {
    let request = accept.iter().fold(TestRequest::default(), |request, value| request.append_header((ACCEPT, *value)));
    Form::wanted(request.to_http_request().headers())
}

const XML: Option<Form> = Some(Form::Xml("application/xml"));
const TEXT_XML: Option<Form> = Some(Form::Xml("text/xml; charset=utf-8"));
const JSON: Option<Form> = Some(Form::Json);

#[test]
fn the_best_liked_form_is_chosen() {
    let cases: [(&[&str], Option<Form>); 26] = [
        (&[], JSON),
        (&[""], JSON),
        (&["*/*"], JSON),
        (&["application/json"], JSON),
        (&["application/json; charset=utf-8"], JSON),
        (&["application/*"], JSON),
        (&["application/xml"], XML),
        (&["APPLICATION/XML"], XML),
        (&["text/xml"], TEXT_XML),
        (&["text/*"], TEXT_XML),
        (&["application/xml", "application/json;q=0.5"], XML),
        (&["application/xml, application/json"], JSON),
        (&["application/xml;q=0.8, application/json;q=0.9"], JSON),
        (&["application/xml;q=0.9, application/json;q=0.8"], XML),
        (&["application/json;q=0, */*"], XML),
        (&["*/*;q=0.1, text/xml"], TEXT_XML),
        (&["text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8"], XML),
        (&["text/html, image/gif, *; q=.2, */*; q=.2"], JSON),
        (&["text/html"], None),
        (&["application/json;q=0"], None),
        (&["*/*;q=0"], None),
        (&["application/atom+xml"], None),
        (&["application/problem+json"], None),
        (&["nonsense"], None),
        (&["application/xml;q=2, application/xml;q=x, */*;q=0.1"], JSON),
        (&["*/*, application/json;q=0.2"], XML),
    ];
    for (accept, form) in cases {
        assert_eq!(wanted(accept), form, "{accept:?}");
    }
}

#[test]
fn what_is_too_deep_for_xml_stays_json_and_says_so() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let cases = [
        ("application/json", "[1]", "application/xml"),
        ("application/json", deep.as_str(), "application/json"),
        ("application/problem+json", "{}", "application/problem+xml"),
        ("text/plain", "[1]", "text/plain"),
    ];
    for (given, body, sent) in cases {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(given));
        let written = into_xml(&mut headers, BoxBody::new(body.to_owned()), "application/xml");
        let written = written.try_into_bytes().unwrap();
        assert_eq!(headers.get(CONTENT_TYPE).unwrap(), sent);
        assert_eq!(written.starts_with(b"<?xml"), given != sent, "{given}");
        assert!(given != sent || written == body, "{given}");
    }
}
