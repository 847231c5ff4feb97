//! URIs of one form.

use std::borrow::Cow;

use crate::strings::StringArguments;

/// A form of URIs (RFC 6570), of which four expressions are known, each of them also read backwards, from a URI to the values:
///
/// - `{name}`: one segment of a path, or a part of it. It is never empty, nor `.` or `..`, and holds no `/`, not even an encoded one.
/// - `{+name}`: what may hold `/`. No segment of it is `.` or `..`.
/// - `{?name,other}`: parameters behind a `?`, each of which may be missing, in any order; at the end only.
///
/// Everything else stands for itself. Two expressions have a text between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    parts: Vec<Part>,
    query: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A variable, and whether its value may hold slashes.
    Variable(String, bool),
}

impl UriTemplate {
    /// Reads a template.
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let (mut parts, mut query, mut rest) = (Vec::new(), Vec::new(), template);
        while !rest.is_empty() {
            let Some((literal, behind)) = rest.split_once('{') else {
                parts.push(Part::Literal(rest.to_owned()));
                break;
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            } else if matches!(parts.last(), Some(Part::Variable(..))) && !behind.starts_with('?') {
                return Err("two variables stand side by side; put a text between them".to_owned());
            }
            let (expression, behind) = behind.split_once('}').ok_or("a `{` has no `}`")?;
            if let Some(names) = expression.strip_prefix('?') {
                if !behind.is_empty() {
                    return Err("`{?…}` stands at the end, and there once".to_owned());
                }
                query = names.split(',').map(variable).collect::<Result<_, _>>()?;
            } else {
                let (name, slashes) = expression.strip_prefix('+').map_or((expression, false), |name| (name, true));
                parts.push(Part::Variable(variable(name)?, slashes));
            }
            rest = behind;
        }
        let this = Self { parts, query };
        let mut names: Vec<_> = this.variables().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        match names.len() {
            0 => Err("it has no variable; offer it as a resource of its own".to_owned()),
            distinct if distinct < all => Err("a variable stands in it twice".to_owned()),
            _ => Ok(this),
        }
    }

    /// The names of its variables, in their order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let named = self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(name, _) => Some(name.as_str()),
        });
        named.chain(self.query.iter().map(String::as_str))
    }

    /// What the variables are in `uri`, decoded; `None` where it is not of this form.
    pub fn matches(&self, uri: &str) -> Option<StringArguments> {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) if !self.query.is_empty() => (path, query),
            _ => (uri, ""),
        };
        let mut values = StringArguments::default();
        let mut rest = path;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Variable(name, slashes) => {
                    let end = match parts.peek() {
                        // A value ends where the text behind it begins: the first place of it, and for the last text the last.
                        Some(Part::Literal(literal)) if *slashes => rest.rfind(literal.as_str())?,
                        Some(Part::Literal(literal)) => rest.find(literal.as_str())?,
                        _ => rest.len(),
                    };
                    values.insert(name.clone(), value(&rest[..end], *slashes)?);
                    rest = &rest[end..];
                }
            }
        }
        if !rest.is_empty() {
            return None;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = self.query.iter().find(|known| *known == name)?;
            values.insert(name.clone(), decode(value)?.into_owned());
        }
        Some(values)
    }
}

fn variable(name: &str) -> Result<String, String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(sound) {
        return Err(format!("`{{{name}}}` is no variable; known are `{{name}}`, `{{+name}}` and `{{?name,other}}`"));
    }
    Ok(name.to_owned())
}

/// The value of a variable in a path. What leads out of its place is none.
fn value(text: &str, slashes: bool) -> Option<String> {
    let value = decode(text)?;
    let sound = |segment: &str| !matches!(segment, "." | "..");
    let fits = !value.is_empty()
        && !value.contains('\0')
        && if slashes { value.split(['/', '\\']).all(sound) } else { sound(&value) && !value.contains(['/', '\\']) };
    fits.then(|| value.into_owned())
}

/// Decodes what is percent-encoded (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(template: &str, uri: &str) -> Option<Vec<(String, String)>> {
        let template = UriTemplate::parse(template).unwrap();
        let names: Vec<_> = template.variables().map(str::to_owned).collect();
        let values = template.matches(uri)?;
        Some(
            names
                .into_iter()
                .filter_map(|name| values.get(&name).map(|value| (name.clone(), value.to_owned())))
                .collect(),
        )
    }

    fn pairs(of: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn values_are_read_out_of_a_uri() {
        assert_eq!(read("test://template/{id}/data", "test://template/123/data"), pairs(&[("id", "123")]));
        assert_eq!(read("a://{x}-{y}", "a://one-two-three"), pairs(&[("x", "one"), ("y", "two-three")]));
        assert_eq!(read("file:///{+path}", "file:///a/b%20c.txt"), pairs(&[("path", "a/b c.txt")]));
        assert_eq!(read("file:///{+path}/raw", "file:///a/raw/b/raw"), pairs(&[("path", "a/raw/b")]));
        assert_eq!(read("s://q{?text,page}", "s://q?page=2&text=a%26b"), pairs(&[("text", "a&b"), ("page", "2")]));
        assert_eq!(read("s://q{?text}", "s://q"), pairs(&[]));
    }

    #[test]
    fn what_is_of_another_form_does_not_match() {
        for (template, uri) in [
            ("a://{x}/b", "a:///b"),
            ("a://{x}", "a://b/c"),
            ("a://{x}", "a://b%2Fc"),
            ("a://{x}", "a://b%5cc"),
            ("a://{x}", "a://.."),
            ("a://{x}", "a://%2e%2E"),
            ("a://{x}", "a://%"),
            ("a://{x}", "a://%zz"),
            ("a://{x}", "a://%+1"),
            ("a://{x}", "a://%00"),
            ("a://{x}", "a://%ff"),
            ("a://{+x}", "a://b/../c"),
            ("a://{+x}", "a://b/%2e%2e/c"),
            ("a://{+x}", "a://b%5c..%5cc"),
            ("a://q{?x}", "a://q?y=1"),
            ("a://{x}/b", "a://1/b/c"),
            ("a://{x}", "b://1"),
        ] {
            assert_eq!(read(template, uri), None, "{template} {uri}");
        }
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (template, why) in [
            ("a://b", "no variable"),
            ("a://{x", "no `}`"),
            ("a://{x}{y}", "side by side"),
            ("a://{x}/{x}", "twice"),
            ("a://{x*}", "is no variable"),
            ("a://{}", "is no variable"),
            ("a://{?x}/y", "at the end"),
        ] {
            let told = UriTemplate::parse(template).unwrap_err();
            assert!(told.contains(why), "{template}: {told}");
        }
    }
}
