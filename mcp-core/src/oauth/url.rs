//! Addresses in the one form in which they are compared (RFC 8707, section 2; basic/authorization, "Canonical Server URI").

/// An absolute `http` or `https` URL: scheme and host in lower case, without the scheme's own port, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanonicalUrl {
    text: String,
    /// Where the path begins: the length of all of it, where there is none.
    path: usize,
}

impl CanonicalUrl {
    /// Reads a URL; none, where it is not absolute, names a user, has a fragment, or holds what a header could not carry in quotes.
    pub(super) fn read(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(port).unwrap_or(&authority);
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'\\' | b'{' | b'}');
        if authority.is_empty() || authority.contains('@') || !url.bytes().all(is_plain) {
            return None;
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        Some(Self { path: scheme.len() + 3 + authority.len(), text: format!("{scheme}://{authority}{path}") })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme and authority.
    pub(super) fn origin(&self) -> &str {
        &self.text[..self.path]
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        self.origin().split_once("://").map_or("", |(_, authority)| authority)
    }

    /// What follows them.
    pub(super) fn path(&self) -> &str {
        &self.text[self.path..]
    }
}

#[cfg(test)]
mod tests {
    use super::CanonicalUrl;

    #[test]
    fn an_address_has_one_form() {
        for (url, canonical) in [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("HTTPS://MCP.Example.com/", "https://mcp.example.com"),
            ("https://mcp.example.com:443/mcp/", "https://mcp.example.com/mcp"),
            ("https://mcp.example.com:8443/Mcp", "https://mcp.example.com:8443/Mcp"),
            ("http://[::1]:80/mcp", "http://[::1]/mcp"),
            ("http://localhost:443?a=/", "http://localhost:443?a="),
        ] {
            assert_eq!(CanonicalUrl::read(url).unwrap().as_str(), canonical, "{url}");
        }
        for url in [
            "",
            "mcp.example.com",
            "/mcp",
            "https://",
            "https:///mcp",
            "ftp://h/",
            "https://h/#part",
            "https://a\u{40}h/",
            "https://h/a b",
            "https://h/\"",
            "https://h/\\",
            "https://h/{a}",
            "https://hä/",
        ] {
            assert_eq!(CanonicalUrl::read(url), None, "{url}");
        }
        let url = CanonicalUrl::read("https://h:1/a/b").unwrap();
        assert_eq!((url.origin(), url.authority(), url.path()), ("https://h:1", "h:1", "/a/b"));
    }
}
