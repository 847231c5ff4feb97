//! Every layer, every mend.

use std::path::Path;
use std::time::Duration;

use super::*;

fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.json");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::load_from(file.map(|_| path.as_path()), environment).map_err(|error| error.to_string())
}

fn refused(file: Option<&str>, environment: &[(&str, &str)], words: &[&str]) {
    let error = load(file, environment).map(drop).unwrap_err();
    assert!(!error.contains('\n'), "one line: {error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn nothing_said_serves_this_machine() {
    let config = load(None, &[]).unwrap();
    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 8000));
    assert_eq!(config.data_folder().as_deref(), Some(Path::new("./data")));
    assert!(config.is_loopback() && !config.debug_mode && config.api_key.is_none());
}

#[test]
fn the_environment_is_over_the_file_and_the_file_over_the_defaults() {
    let file =
        r#"{"port": 9000, "LOG_FORMAT": "json", "allowed_hosts": ["a.example", "b.example"], "debug_mode": true}"#;
    let config = load(Some(file), &[("PORT", "9001"), ("DEBUG_MODE", "")]).unwrap();
    assert_eq!((config.port, config.log_format), (9001, LogFormat::Json));
    assert_eq!(config.allowed_hosts, ["a.example", "b.example"]);
    assert!(config.debug_mode, "an empty variable says nothing");
    let origin = |key: &str| config.effective().find(|(setting, ..)| setting.key == key).unwrap().2.to_string();
    assert_eq!((origin("PORT").as_str(), origin("HOST").as_str()), ("from the environment", "the default"));
    assert!(origin("LOG_FORMAT").ends_with("app.json"));
}

#[test]
fn the_older_systems_switches_work_as_they_stand() {
    for (text, on) in [("False", false), ("0", false), ("no", false), ("True", true), ("1", true), ("YES", true)] {
        assert_eq!(load(None, &[("DEBUG_MODE", text)]).unwrap().debug_mode, on, "{text}");
    }
}

#[test]
fn a_bad_value_names_the_key_its_origin_and_the_mend() {
    refused(None, &[("PORT", "abc")], &["PORT", "from the environment", "\"abc\""]);
    refused(None, &[("PORT", "70000")], &["PORT", "70000"]);
    refused(Some(r#"{"PORT": {}}"#), &[], &["PORT", "app.json", "a number"]);
    refused(None, &[("DEBUG_MODE", "maybe")], &["DEBUG_MODE", "true or false"]);
    refused(None, &[("LOG_LEVEL", "loud")], &["LOG_LEVEL", "debug"]);
    refused(None, &[("LOG_FILE_SIZE", "1KiB")], &["LOG_FILE_SIZE", "64KiB"]);
    refused(None, &[("LOG_FILES", "1")], &["LOG_FILES", "2"]);
    refused(None, &[("CALL_TIMEOUT", "0")], &["CALL_TIMEOUT", "10s"]);
    refused(None, &[("MAX_BODY", "4 parsecs")], &["MAX_BODY", "4MiB"]);
    refused(None, &[("PROTOCOL_SESSIONS", "0")], &["PROTOCOL_SESSIONS", "at least 1"]);
    refused(None, &[("PROTOCOL_SESSIONS_PER_CALLER", "-1")], &["PROTOCOL_SESSIONS_PER_CALLER", "\"-1\""]);
    refused(None, &[("HOST", "example.com:80")], &["HOST", "127.0.0.1"]);
    refused(None, &[("REDACT_ARGUMENTS", "/a, password")], &["REDACT_ARGUMENTS", "\"password\"", "/card/number"]);
    refused(None, &[("TRUSTED_PROXIES", "10.0.0.0/8, lb.example.com")], &["TRUSTED_PROXIES", "lb.example.com"]);
    refused(None, &[("ALLOWED_ORIGINS", "app.example.com")], &["ALLOWED_ORIGINS", "https://app.example.com"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    refused(Some(r#"{"DATABSE_URL": "x"}"#), &[], &["DATABSE_URL", "app.json", "did you mean DATABASE_URL?"]);
    refused(Some(r#"{"colour": "red"}"#), &[], &["colour", "mcp-http config"]);
    refused(Some("[1]"), &[], &["--config", "one JSON object"]);
}

#[test]
fn a_server_that_others_reach_has_no_debug_mode() {
    assert!(load(None, &[("HOST", "0.0.0.0")]).is_ok());
    refused(None, &[("HOST", "0.0.0.0"), ("DEBUG_MODE", "1")], &["DEBUG_MODE", "DEBUG_MODE=false"]);
    for own in ["127.0.0.1", "127.1.2.3", "::1", "localhost"] {
        assert!(load(None, &[("HOST", own), ("DEBUG_MODE", "1")]).is_ok(), "{own}");
    }
}

#[test]
fn a_secret_is_in_no_error_and_in_nothing_that_is_shown() {
    const SECRET: &str = "hunter2hunter2";
    for (key, value) in [("API_KEY", SECRET), ("SECRET_KEYS", SECRET), ("API_KEY", "hunter2hunter2 with a space")] {
        let error = load(None, &[(key, value)]).map(drop).unwrap_err();
        assert!(error.contains(key) && !error.contains("hunter2"), "{error}");
    }
    let config = load(
        None,
        &[
            ("API_KEY", "hunter2hunter2hunter2"),
            ("DATABASE_URL", "postgres://user:hunter2@db.example/x"),
            ("REDIS_URL", "redis://:hunter2@cache.example"),
            ("SECRET_KEYS", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI="),
        ],
    )
    .unwrap();
    let shown: String = config.effective().map(|(_, value, _)| value).collect();
    assert!(shown.contains("postgres://user:***@db.example/x"), "{shown}");
    for text in [shown, format!("{config:?}"), format!("{:?}", config.layers)] {
        assert!(!text.contains("hunter2") && !text.contains("aHVud"), "{text}");
    }
}

#[test]
fn times_and_sizes_have_units() {
    let config = load(None, &[("CALL_TIMEOUT", "250ms"), ("STOP_TIMEOUT", "5"), ("MAX_BODY", "2KiB")]).unwrap();
    assert_eq!((config.call_timeout, config.stop_timeout), (Duration::from_millis(250), Duration::from_secs(5)));
    assert_eq!(config.max_body, 2048);
}

#[test]
fn the_sessions_of_the_protocol_have_two_caps() {
    let caps = |environment| {
        let config = load(None, environment).unwrap();
        (config.protocol_sessions, config.protocol_sessions_per_caller)
    };
    assert_eq!(caps(&[]), (10_000, 1_000));
    assert_eq!(caps(&[("PROTOCOL_SESSIONS", "20"), ("PROTOCOL_SESSIONS_PER_CALLER", "5")]), (20, 5));
}

#[test]
fn what_is_kept_is_a_time_or_a_number_or_both() {
    let limit = |text| value::limit(Some(text));
    let day = Duration::from_secs(86_400);
    for (text, age, most) in [
        ("forever", None, None),
        ("90d", Some(day * 90), None),
        ("36h", Some(day * 3 / 2), None),
        ("90m, 5", Some(day / 16), Some(5)),
        ("1000000", None, Some(1_000_000)),
        ("5,90d", Some(day * 90), Some(5)),
    ] {
        assert_eq!(limit(text), Ok(Limit { age, most }), "{text}");
    }
    for text in ["", "0d", "0", "90", "d", "90d,", "90d,90d", "5,6", "90s", "-1d", "for ever", "99999999999999999999d"]
    {
        let is_a_count = text == "90";
        assert_eq!(limit(text).is_ok(), is_a_count, "{text}");
    }
    assert_eq!(value::age(Some("90d")), limit("90d"));
    assert!(value::age(Some("90d,5")).is_err() && value::age(Some("5")).is_err());
}

#[test]
fn a_rate_is_how_many_in_which_time() {
    let rate = |text| value::rate(Some(text)).map(|rate| rate.map(|rate| (rate.burst, rate.per.as_secs())));
    for (text, burst, seconds) in
        [("100/s", 100, 1), ("6000/min", 6_000, 60), ("20/10s", 20, 10), ("5 / 2 h", 5, 7_200), ("1/day", 1, 86_400)]
    {
        assert_eq!(rate(text), Ok(Some((burst, seconds))), "{text}");
    }
    assert_eq!((rate(""), value::rate(None)), (Ok(None), Ok(None)));
    for text in ["100", "/s", "0/s", "100/", "100/0s", "100/10", "-1/s", "1.5/s", "100/s/s", "1/1000d", "9999999999/s"]
    {
        assert!(rate(text).is_err(), "{text}");
    }
    refused(None, &[("RATE_LIMIT", "many")], &["RATE_LIMIT", "100/s", "\"many\""]);
}

#[test]
fn models_and_agents_are_objects_or_their_text_and_keys_come_from_the_environment_alone() {
    let models = r#"{"fast": {"provider": "openai", "model": "m", "key_env": "OUR_KEY"}}"#;
    let file = format!(r#"{{"models": {models}, "agents": {{"clerk": {{"model": "fast"}}}}}}"#);
    let config = load(Some(&file), &[("OUR_KEY", "sk-1"), ("OTHER_KEY", "sk-2")]).unwrap();
    assert_eq!(config.models["fast"].model, "m");
    assert_eq!(config.agents["clerk"].model.as_deref(), Some("fast"));
    assert_eq!(config.model_keys.keys().collect::<Vec<_>>(), ["OUR_KEY"], "what no model names is not kept");
    assert!(!format!("{config:?}").contains("sk-1"));
    assert_eq!(load(None, &[("MODELS", models)]).unwrap().models.len(), 1);
    refused(None, &[("MODELS", "gpt")], &["MODELS", "such as {\"fast\""]);
    refused(
        None,
        &[("MODELS", r#"{"a": {"provider": "opnai", "model": "m"}}"#)],
        &["MODELS", "did you mean \"openai\""],
    );
    refused(None, &[("AGENTS", r#"{"a": {"modell": "m"}}"#)], &["AGENTS", "unknown field `modell`"]);
}

#[test]
fn a_policy_is_an_object_or_its_text_and_says_what_is_wrong_with_it() {
    let file = r#"{"policy": {"tools": {"notes.*": {"roles": ["clerk"], "scopes": ["notes"]}}, "routes": {"GET /api/v1/files*": {"tenants": ["a"]}}}}"#;
    assert!(load(Some(file), &[]).is_ok());
    assert!(load(None, &[("POLICY", r#"{"approval": ["pay.*"]}"#)]).is_ok());
    assert!(load(None, &[("POLICY", r#"{"prompts": {"*": {"roles": ["clerk"]}}, "resources": {}}"#)]).is_ok());
    refused(None, &[("POLICY", "notes=clerk")], &["POLICY", "such as {\"tools\""]);
    refused(None, &[("POLICY", r#"{"tool": {}}"#)], &["POLICY", "unknown field `tool`"]);
    refused(None, &[("POLICY", r#"{"tools": {"a": {"role": ["b"]}}}"#)], &["POLICY", "unknown field `role`"]);
    refused(None, &[("POLICY", r#"{"tools": {"a": {}}}"#)], &["POLICY", "\"a\" requires nothing"]);
    refused(None, &[("POLICY", r#"{"routes": {"/files": {"roles": ["a"]}}}"#)], &["\"/files\"", "a method and a path"]);
    refused(Some(r#"{"tools": {}}"#), &[], &["no such setting"]);
    refused(None, &[("ADMIN_BIND", "9000")], &["ADMIN_BIND", "127.0.0.1:9000"]);
}
