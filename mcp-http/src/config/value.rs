//! Texts to values. An error says what is expected and what was found; it never repeats a secret.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::endpoint::{BadNetwork, TrustedProxies};
use mcp_core::retention::Limit;
use mcp_core::store::limits::Rate;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::LogFormat;

type Parsed<T> = Result<T, String>;

pub(super) fn text(text: Option<&str>) -> Parsed<String> {
    Ok(text.unwrap_or_default().to_owned())
}

/// An object, such as this one.
pub(super) fn object<T: DeserializeOwned + Default>(text: Option<&str>, example: &str) -> Parsed<T> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(T::default()) };
    serde_json::from_str(text).map_err(|error| format!("expected an object such as {example}: {error}"))
}

pub(super) fn path(text: Option<&str>) -> Parsed<Option<PathBuf>> {
    Ok(text.filter(|text| !text.is_empty()).map(PathBuf::from))
}

pub(super) fn optional_text(text: Option<&str>) -> Parsed<Option<String>> {
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

pub(super) fn host(text: Option<&str>) -> Parsed<String> {
    let host = text.unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(_) => Ok(host.to_owned()),
        Err(_) if host == "localhost" => Ok(host.to_owned()),
        Err(_) => Err(format!("expected an address such as 127.0.0.1 or 0.0.0.0, got {host:?}")),
    }
}

pub(super) fn optional_address(text: Option<&str>) -> Parsed<Option<SocketAddr>> {
    let parse = |text: &str| {
        text.parse().map_err(|_| format!("expected an address and a port such as 127.0.0.1:9000, got {text:?}"))
    };
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

pub(super) fn web_address(text: Option<&str>) -> Parsed<Option<String>> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) if !text.starts_with("http://") && !text.starts_with("https://") => {
            Err("expected an address such as http://127.0.0.1:4318".to_owned())
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// Names with their values, as OpenTelemetry writes them: `a=1,b=2`.
pub(super) fn pairs(text: Option<&str>) -> Parsed<Vec<(String, String)>> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected names with their values, such as a=1,b=2".to_owned()),
    };
    text.unwrap_or_default().split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

/// The same, of headers whose values are secrets.
pub(super) fn headers(text: Option<&str>) -> Parsed<Vec<(String, SecretString)>> {
    let is_one = |(name, value): &(String, String)| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let headers = pairs(text)?;
    match headers.iter().all(is_one) {
        true => Ok(headers.into_iter().map(|(name, value)| (name, value.into())).collect()),
        false => Err("expected headers such as api-key=SECRET".to_owned()),
    }
}

/// A part of all.
pub(super) fn part(text: Option<&str>) -> Parsed<f64> {
    match number(text)? {
        part if (0.0..=1.0).contains(&part) => Ok(part),
        part => Err(format!("expected a number from 0 to 1, got {part}")),
    }
}

pub(super) fn number<T: FromStr>(text: Option<&str>) -> Parsed<T> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| format!("expected a whole number in range, got {text:?}"))
}

/// One at least.
pub(super) fn count(text: Option<&str>) -> Parsed<u32> {
    match number(text)? {
        0 => Err("expected a whole number of at least 1, got 0".to_owned()),
        count => Ok(count),
    }
}

/// The same, of what is counted in memory.
pub(super) fn many(text: Option<&str>) -> Parsed<usize> {
    count(text).and_then(|count| usize::try_from(count).map_err(|error| error.to_string()))
}

pub(super) fn workers(text: Option<&str>) -> Parsed<usize> {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    number(text).map(|workers| if workers == 0 { processors() } else { workers })
}

/// The words that the older system wrote, and a few more.
pub(super) fn switch(text: Option<&str>) -> Parsed<bool> {
    match text.unwrap_or_default().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "" | "false" | "0" | "no" | "off" => Ok(false),
        other => Err(format!("expected true or false, got {other:?}")),
    }
}

pub(super) fn optional_secret(text: Option<&str>) -> Parsed<Option<SecretString>> {
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}

pub(super) fn api_key(text: Option<&str>) -> Parsed<Option<SecretString>> {
    match text {
        Some(key) if key.len() < 16 && !key.is_empty() => {
            Err(format!("expected at least 16 characters, got {}; `openssl rand -base64 32` makes one", key.len()))
        }
        Some(key) if !is_graphic(key) => {
            Err("expected visible ASCII without spaces; `openssl rand -base64 32` makes one".to_owned())
        }
        key => optional_secret(key),
    }
}

pub(super) fn target_key(text: Option<&str>) -> Parsed<Option<SecretString>> {
    match text {
        Some(key) if !is_graphic(key) => Err("expected visible ASCII without spaces".to_owned()),
        key => optional_secret(key),
    }
}

fn is_graphic(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn secret_keys(text: Option<&str>) -> Parsed<Vec<SecretString>> {
    let keys = list(text)?;
    for (n, key) in keys.iter().enumerate() {
        match STANDARD.decode(key) {
            Ok(bytes) if bytes.len() >= 32 => {}
            _ => return Err(format!("key {} is not 32 bytes in base64; `openssl rand -base64 32` makes one", n + 1)),
        }
    }
    Ok(keys.into_iter().map(SecretString::from).collect())
}

pub(super) fn list(text: Option<&str>) -> Parsed<Vec<String>> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    Ok(parts.filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// JSON pointers (RFC 6901), none of which is that of the whole.
pub(super) fn pointers(text: Option<&str>) -> Parsed<Vec<String>> {
    let pointers = list(text)?;
    match pointers.iter().find(|pointer| !pointer.starts_with('/')) {
        Some(bad) => Err(format!("expected JSON pointers such as /card/number, got {bad:?}")),
        None => Ok(pointers),
    }
}

pub(super) fn origins(text: Option<&str>) -> Parsed<Vec<String>> {
    let origins = list(text)?;
    match origins.iter().find(|origin| !origin.starts_with("https://") && !origin.starts_with("http://")) {
        Some(bad) => Err(format!("expected origins such as https://app.example.com, got {bad:?}")),
        None => Ok(origins),
    }
}

pub(super) fn networks(text: Option<&str>) -> Parsed<TrustedProxies> {
    text.unwrap_or_default().parse().map_err(|error: BadNetwork| error.to_string())
}

/// So long that three renewals fit into it.
pub(super) fn lease(text: Option<&str>) -> Parsed<Duration> {
    match duration(text)? {
        lease if lease < Duration::from_secs(1) => {
            Err(format!("expected at least 1s, got {:?}", text.unwrap_or_default()))
        }
        lease => Ok(lease),
    }
}

pub(super) fn log_format(text: Option<&str>) -> Parsed<LogFormat> {
    match text.unwrap_or_default().to_ascii_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("expected text or json, got {other:?}")),
    }
}

pub(super) fn log_level(text: Option<&str>) -> Parsed<String> {
    let text = text.unwrap_or_default();
    let level = text.to_ascii_lowercase();
    // A filter without a level would be taken for the name of a module, and silence everything.
    let sound = level.split(',').all(|part| {
        let level = part.rsplit('=').next().unwrap_or(part).trim();
        ["error", "warn", "info", "debug", "trace", "off"].contains(&level)
    });
    if sound { Ok(level) } else { Err(format!("expected error, warn, info, debug or trace, got {text:?}")) }
}

/// `10s`, `500ms`, `2m`; a bare number is seconds.
pub(super) fn duration(text: Option<&str>) -> Parsed<Duration> {
    delay(text).and_then(|duration| if duration.is_zero() { Err(no_time(text)) } else { Ok(duration) })
}

/// The same, or `0`.
pub(super) fn delay(text: Option<&str>) -> Parsed<Duration> {
    let (digits, unit) = split_unit(text.unwrap_or_default());
    let count: u64 = digits.parse().map_err(|_| no_time(text))?;
    let duration = match unit {
        "ms" => Some(Duration::from_millis(count)),
        "" | "s" => Some(Duration::from_secs(count)),
        "m" => count.checked_mul(60).map(Duration::from_secs),
        _ => None,
    };
    duration.filter(|duration| *duration <= Duration::from_secs(86_400)).ok_or_else(|| no_time(text))
}

/// `100/s`, `6000/min`, `20/10s`; or nothing.
pub(super) fn rate(text: Option<&str>) -> Parsed<Option<Rate>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = || format!("expected how many in which time, such as 100/s, 6000/min or 20/10s, got {text:?}");
    let (count, per) = text.split_once('/').ok_or_else(bad)?;
    let (digits, unit) = split_unit(per.trim());
    let units = if digits.is_empty() { 1 } else { digits.parse().map_err(|_| bad())? };
    let seconds: u64 = match unit {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3_600,
        "d" | "day" => 86_400,
        _ => return Err(bad()),
    };
    let burst = count.trim().parse().map_err(|_| bad())?;
    let per = seconds.checked_mul(units).map(Duration::from_secs).ok_or_else(bad)?;
    // A year is more than anybody waits.
    let sound = burst > 0 && !per.is_zero() && per <= Duration::from_secs(365 * 86_400);
    if sound { Ok(Some(Rate { burst, per })) } else { Err(bad()) }
}

/// `90d`, `90d,1000000`, `1000000` or `forever`: how long, and how many.
pub(super) fn limit(text: Option<&str>) -> Parsed<Limit> {
    let text = text.unwrap_or_default();
    let bad = || format!("expected how long or how many, such as 90d, 36h or 90d,1000000, or forever, got {text:?}");
    let mut limit = Limit::default();
    if text == "forever" {
        return Ok(limit);
    }
    for part in text.split(',').map(str::trim) {
        let (digits, unit) = split_unit(part);
        let count: u64 = digits.parse().ok().filter(|count| *count > 0).ok_or_else(bad)?;
        let seconds = match unit {
            "" if limit.most.replace(count).is_none() => continue,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        let age = count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)?;
        if limit.age.replace(age).is_some() {
            return Err(bad());
        }
    }
    Ok(limit)
}

/// `90d` or `forever`.
pub(super) fn age(text: Option<&str>) -> Parsed<Limit> {
    let bad = || format!("expected how long, such as 90d or 36h, or forever, got {:?}", text.unwrap_or_default());
    limit(text).ok().filter(|limit| limit.most.is_none()).ok_or_else(bad)
}

/// `90d`, or `0`.
pub(super) fn span(text: Option<&str>) -> Parsed<Duration> {
    let bad = || format!("expected how long, such as 365d, or 0, got {:?}", text.unwrap_or_default());
    if text == Some("0") {
        return Ok(Duration::ZERO);
    }
    age(text).ok().and_then(|limit| limit.age).ok_or_else(bad)
}

fn no_time(text: Option<&str>) -> String {
    format!("expected a time such as 500ms, 10s or 2m, got {:?}", text.unwrap_or_default())
}

/// `4MiB`, `512KiB`; a bare number is bytes.
pub(super) fn bytes<T: TryFrom<u64>>(text: Option<&str>) -> Parsed<T> {
    let text = text.unwrap_or_default();
    let (digits, unit) = split_unit(text);
    let bad = || format!("expected a size such as 512KiB or 4MiB, got {text:?}");
    let count: u64 = digits.parse().map_err(|_| bad())?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(bad()),
    };
    count.checked_mul(factor).filter(|bytes| *bytes > 0).and_then(|bytes| T::try_from(bytes).ok()).ok_or_else(bad)
}

/// So large that files are not put aside all the time.
pub(super) fn file_size(text: Option<&str>) -> Parsed<u64> {
    match bytes(text)? {
        size if size < 64 << 10 => Err(format!("expected at least 64KiB, got {size} bytes")),
        size => Ok(size),
    }
}

/// One that is written, and at least one that is full.
pub(super) fn files(text: Option<&str>) -> Parsed<u32> {
    match number(text)? {
        files if (2..=1_000).contains(&files) => Ok(files),
        files => Err(format!("expected a number from 2 to 1000, got {files}")),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// A URL without the password that it may hold.
pub(super) fn without_password(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let mut shown = match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (user, place))) => {
            format!("{scheme}://{}:***@{place}", user.split(':').next().unwrap_or_default())
        }
        None => url.to_owned(),
    };
    for (n, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if n == 0 { '?' } else { '&' });
        shown.push_str(if parameter.starts_with("password=") { "password=***" } else { parameter });
    }
    shown
}
