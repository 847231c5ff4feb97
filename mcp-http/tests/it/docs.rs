//! The page at `/docs` needs nothing from elsewhere.

use crate::served::Served;

const FILES: [(&str, &str); 4] = [
    ("/docs", "text/html; charset=utf-8"),
    ("/docs/page.css", "text/css; charset=utf-8"),
    ("/docs/page.js", "text/javascript; charset=utf-8"),
    ("/docs/icon.svg", "image/svg+xml"),
];

#[test]
fn its_files_are_served_with_their_types_and_a_strict_policy() {
    let server = Served::start(&[]);
    for (path, content_type) in FILES {
        let file = server.get(path);
        assert_eq!((file.status, file.content_type.as_str()), (200, content_type), "{path}");
        assert!(file.header("content-security-policy").unwrap().starts_with("default-src 'self';"), "{path}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[test]
fn it_names_no_other_host_and_only_files_that_are_there() {
    let server = Served::start(&[]);
    let mut size = 0;
    for (path, _) in FILES {
        let file = server.get(path);
        let text = file.body.as_str().unwrap();
        size += text.len();
        // The namespace of SVG is a name, and nothing is fetched from there.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http:", "https:", "//cdn", "\"//", "'//", "(//", "@import", " url("] {
            assert!(!text.contains(foreign), "{foreign} in {path}");
        }
    }
    assert!(size < 24 * 1024, "{size} bytes");

    let page = server.get("/docs");
    let page = page.body.as_str().unwrap();
    // What the policy forbids would not run.
    for inline in ["<style", "style=", "onclick", "onload", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
    let mut references = 0;
    for attribute in ["href=\"", "src=\""] {
        for target in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            // As a browser resolves it at `/docs`.
            assert_eq!(server.get(&format!("/{target}")).status, 200, "{target}");
            references += 1;
        }
    }
    assert!(references >= 4, "{references}");
}

#[test]
fn it_needs_no_key_and_is_for_no_foreign_page() {
    let server = Served::start(&[("API_KEY", "0123456789abcdef")]);
    for (path, _) in FILES {
        let status = |headers: &[(&str, &str)]| server.get_with(path, headers).status;
        assert_eq!(status(&[("x-forwarded-for", "10.0.0.1")]), 200, "{path}");
        assert_eq!(status(&[("host", "evil.example.com")]), 403, "{path}");
        assert_eq!(status(&[("origin", "http://evil.example.com")]), 403, "{path}");
    }
}
