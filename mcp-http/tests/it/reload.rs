//! SIGHUP: what can change does so without a restart, and what cannot be used changes nothing.

use serde_json::{Value, json};

use crate::served::{Served, until};

fn write(folder: &std::path::Path, settings: &Value) {
    std::fs::write(folder.join("config.json"), settings.to_string()).unwrap();
}

#[test]
fn a_configuration_is_read_again_at_sighup_and_one_that_cannot_be_used_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = json!({"LOG_FORMAT": "json", "LOG_LEVEL": "info"});
    write(folder.path(), &first);
    let mut server =
        Served::start_in(folder, &[("HOOK_URL", "http://127.0.0.1:1/"), ("HOOK_SECRET", "a secret of the hook")]);
    let shows_the_channel = |server: &Served| {
        let metrics = server.get("/metrics").body;
        metrics.as_str().unwrap().contains(r#"mcp_alert_deliveries_total{channel="hook",result="failed"}"#)
    };
    assert!(!shows_the_channel(&server));
    server.send_signal("-HUP");
    let mut heard = server.hear("nothing has changed");

    let hook = json!({"kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"});
    let second = json!({"LOG_FORMAT": "json", "LOG_LEVEL": "debug", "WORKERS": 2, "KEEP_CALLS": "9d", "ALERTS": {"channels": {"hook": hook}}});
    write(server.folder(), &second);
    server.send_signal("-HUP");
    heard += &server.hear("in force after a restart");
    until("the channel is there", || shows_the_channel(&server));

    for bad in
        [json!({"LOG_LEVEL": "loud"}), json!({"LOG_LEVELS": "info"}), json!({"ALERTS": {"channels": {"hook": {}}}})]
    {
        write(server.folder(), &bad);
        server.send_signal("-HUP");
        heard += &server.hear("all stays as it was");
    }
    assert!(shows_the_channel(&server));
    server.get("/api/v1/tools");

    let (code, rest, _) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
    heard += &rest;
    assert!(!heard.contains("a secret of the hook"));
    let lines: Vec<Value> = heard.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let taken = said("a setting has changed");
    let changes: Vec<_> = taken.iter().map(|line| (line["setting"].as_str().unwrap(), &line["level"])).collect();
    assert_eq!(changes.len(), 3, "{taken:?}");
    let level = taken.iter().find(|line| line["setting"] == "LOG_LEVEL").expect("the level has changed");
    assert_eq!((&level["before"], &level["after"]), (&json!("info"), &json!("debug")));
    let later = said("a setting has changed, and is in force after a restart");
    assert_eq!(later.iter().map(|line| &line["setting"]).collect::<Vec<_>>(), [&json!("WORKERS")]);
    let refused = said("the configuration was read again and cannot be used: all stays as it was");
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0]["error"].as_str().unwrap().contains("LOG_LEVEL"), "{refused:?}");
    assert!(
        lines.iter().any(|line| line["message"] == "request" && line["route"] == "/api/v1/tools"),
        "it is at debug by then"
    );
    assert!(!said("the configuration was read again: nothing has changed").is_empty());
}
