//! What is written down, and what is wrong with it.

use serde_json::json;

use super::*;
use crate::model::scripted::ScriptedModel;

fn models() -> Models {
    let model = || Arc::new(ScriptedModel::new(["Yes."])) as Arc<dyn LanguageModel>;
    Models::from([("fast".to_owned(), model()), ("smart".to_owned(), model())])
}

fn build(definition: Value) -> Result<AgentSpec, String> {
    let definition: AgentDefinition = serde_json::from_value(definition).map_err(|error| error.to_string())?;
    definition.build("clerk", &models()).map(|agent| agent.spec().clone()).map_err(|error| error.to_string())
}

#[test]
fn an_agent_says_of_itself_what_was_written_down() {
    let spec = build(json!({
        "description": "Does things.", "model": "fast", "tools": ["notes.*"], "budget": {"steps": 3}, "calls_at_once": 2,
        "roles": ["clerk"], "scopes": ["notes"], "output": {"type": "object"},
    }));
    let spec = spec.unwrap();
    assert_eq!((spec.name(), spec.description()), ("clerk", "Does things."));
    assert_eq!((spec.budget.steps, spec.budget.calls, spec.calls_at_once), (Some(3), Some(500), 2));
    let expected = crate::policy::Requirement::none().role("clerk").scope("notes");
    assert_eq!(spec.requirement, expected);
}

#[test]
fn every_team_can_be_written_down() {
    for team in [
        json!({"sequence": ["a", "b"]}),
        json!({"parallel": ["a", "b"]}),
        json!({"collect": ["a", "b"]}),
        json!({"first": ["a", "b"]}),
        json!({"router": {"by": "/kind", "to": {"bug": "a"}, "otherwise": "b"}}),
        json!({"repeat": {"member": "a", "until": {"at": "/good", "is": true}, "most": 3}}),
        json!({"group_chat": {"members": ["a", "b"], "rounds": 2}}),
        json!({"graph": {
            "start": "a", "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "a", "when": {"is": "again"}}],
            "joins": [{"of": ["a", "b"], "to": "c"}],
        }}),
    ] {
        let written: TeamDefinition = serde_json::from_value(team.clone()).unwrap();
        assert_eq!(serde_json::to_value(&written).unwrap()[0], team[0], "as it is kept, it is read again");
        build(json!({"description": "A team.", "team": team})).unwrap();
    }
}

#[test]
fn what_is_wrong_is_said_with_how_to_mend_it() {
    for (definition, said) in [
        (json!({}), "agents.clerk: it has neither a `model` that decides nor a `team`"),
        (json!({"model": "fast", "team": {"first": ["a"]}}), "agents.clerk: it has a `model` and a `team`"),
        (
            json!({"model": "fats"}),
            r#"agents.clerk: `model` names "fats", did you mean "fast"?; there are fast, smart"#,
        ),
        (json!({"model": "fast", "output": {"type": "no"}}), "agents.clerk: the schema of its output: "),
        (json!({"team": {"sequence": []}}), "agents.clerk: the `team` has no members"),
        (json!({"team": {"first": ["a"]}, "tools": ["b"]}), "agents.clerk: `tools` is for a model"),
        (
            json!({"team": {"router": {"by": "kind", "to": {}}}}),
            r#"`by` is "kind", and must be a JSON pointer, such as "/kind""#,
        ),
        (json!({"team": {"repeat": {"member": "a", "until": {"at": "x", "is": 1}, "most": 3}}}), "`at` is \"x\""),
        (json!({"team": {"group_chat": {"members": [], "rounds": 2}}}), "a group chat has `members`"),
        (
            json!({"team": {"graph": {"start": "a", "edges": [{"from": "b", "to": "c"}]}}}),
            "no edge leads from its start to b, c",
        ),
        (json!({"team": {"sequel": ["a"]}}), "unknown variant `sequel`"),
        (json!({"modell": "fast"}), "unknown field `modell`, expected one of `description`, `model`"),
    ] {
        let error = build(definition.clone()).unwrap_err();
        assert!(error.contains(said), "{definition}: {error}");
    }
}
