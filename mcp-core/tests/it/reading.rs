//! Resources, prompts and completion: what is listed, what is read, and what is told where it cannot be.

use std::time::Duration;

use mcp_core::{
    Annotations, Caching, Completing, Completion, Content, Context, NoInput, Progress, PromptMessage, PromptOutput,
    ResourceContents, ResourceLink, Role, Server, ServerBuilder, ToolError, ToolOutput, prompt_fn, resource_fn,
    resource_template_fn, resource_with, tool_fn,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{House, Reply, Request, local};

#[derive(Deserialize)]
struct Page {
    number: u8,
}

async fn page(page: Page) -> Result<Option<String>, ToolError> {
    match page.number {
        13 => Err(ToolError::failed("page 13 is torn")),
        number => Ok((number < 100).then(|| format!("Page {number}."))),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Review {
    /// What to review.
    code: String,
    tone: Option<Tone>,
    words: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Tone {
    Kind,
    /// Hard.
    Stern,
}

async fn review(review: Review, cx: Context) -> Result<PromptOutput, ToolError> {
    cx.progress(Progress::new(1.0));
    let tone = review.tone.map_or("any", |tone| match tone {
        Tone::Kind => "kind",
        Tone::Stern => "stern",
    });
    let text = format!("{}, {:?}, {tone}, for {}", review.code, review.words, cx.caller().principal().as_str());
    Ok(PromptOutput::new([PromptMessage::user(text), PromptMessage::assistant("Well.")]).description("A review."))
}

async fn suggest(asked: Completing, _: Context) -> Result<Completion, ToolError> {
    Ok(Completion::new([format!("{}{:?}", asked.value, asked.known.get("code"))]).of_total(7))
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    let greeting = |text: &'static str| async move { Ok::<_, ToolError>(text) };
    let book = resource_fn("docs://book", "Book", async || Ok::<_, ToolError>(vec![1_u8, 2]));
    builder
        .resource(
            resource_with("docs://greeting", "Greeting", "Hello!", greeting)
                .title("A greeting")
                .description("Greets.")
                .mime_type("text/plain")
                .bytes(6)
                .annotated(Annotations::new().audience(Role::User).priority(2.0)),
        )
        .resource(book.caching(Caching::public(Duration::from_secs(5))))
        .resource(resource_fn("docs://nothing", "Nothing", async || Ok::<_, ToolError>(None::<String>)))
        .resource(resource_fn("docs://panic", "Panic", async |_: NoInput, _: Context| -> Result<String, ToolError> {
            panic!("oh")
        }))
        .resource(resource_template_fn("book://pages/{number}", "Pages", page).choices("number", ["1", "12", "2"]))
        .prompt(prompt_fn("review", "Asks for a review.", review).completes("words", suggest))
        .prompt(prompt_fn("plain", "Says one thing.", async || Ok::<_, ToolError>("one thing")))
        .list_caching(Caching::private(Duration::from_millis(1500)))
}

fn read(uri: &str) -> Request {
    Request::modern("resources/read", json!({"uri": uri})).with("mcp-name", uri)
}

fn get(name: &str, arguments: Value) -> Request {
    Request::modern("prompts/get", json!({"name": name, "arguments": arguments}))
}

fn error(reply: &Reply) -> (u16, i64, String) {
    let error = &reply.json()["error"];
    (reply.status, error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_offered_is_listed_and_told_of() {
    let house = House::new(furnish);
    let told = house.send(&Request::modern("server/discover", json!({}))).await.result();
    assert_eq!(
        told["capabilities"],
        json!({
            "tools": {"listChanged": true}, "logging": {}, "prompts": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true}, "completions": {},
        })
    );
    let listed = house.send(&Request::modern("resources/list", json!({}))).await.result();
    assert_eq!(
        listed["resources"][0],
        json!({
            "uri": "docs://greeting", "name": "Greeting", "title": "A greeting", "description": "Greets.",
            "mimeType": "text/plain", "size": 6, "annotations": {"audience": ["user"], "priority": 1.0},
        })
    );
    assert_eq!(listed["resources"].as_array().unwrap().len(), 4, "a template is no resource");
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(1500), &json!("private")));
    let listed = house.send(&Request::modern("resources/templates/list", json!({}))).await.result();
    assert_eq!(listed["resourceTemplates"], json!([{"uriTemplate": "book://pages/{number}", "name": "Pages"}]));
    let listed = house.send(&Request::modern("prompts/list", json!({}))).await.result();
    assert_eq!(
        listed["prompts"],
        json!([
            {"name": "review", "description": "Asks for a review.", "arguments": [
                {"name": "code", "description": "What to review.", "required": true},
                {"name": "tone", "required": false},
                {"name": "words", "required": false},
            ]},
            {"name": "plain", "description": "Says one thing."},
        ])
    );
}

#[tokio::test]
async fn a_server_without_them_does_not_speak_of_them() {
    let house = House::new(|builder| builder);
    for method in ["resources/list", "resources/templates/list", "prompts/list", "completion/complete"] {
        let (status, code, _) = error(&house.send(&Request::modern(method, json!({}))).await);
        assert_eq!((status, code), (404, -32601), "{method}");
    }
    let told = house.send(&Request::modern("server/discover", json!({}))).await.result();
    assert_eq!(told["capabilities"], json!({"tools": {"listChanged": true}, "logging": {}}));
}

#[tokio::test]
async fn a_resource_is_read() {
    let house = House::new(furnish);
    let greeting = house.send(&read("docs://greeting")).await.result();
    assert_eq!(greeting["contents"], json!([{"uri": "docs://greeting", "mimeType": "text/plain", "text": "Hello!"}]));
    assert_eq!((&greeting["ttlMs"], &greeting["cacheScope"]), (&json!(0), &json!("private")));
    let book = house.send(&read("docs://book")).await.result();
    assert_eq!(book["contents"], json!([{"uri": "docs://book", "blob": "AQI="}]));
    assert_eq!((&book["ttlMs"], &book["cacheScope"]), (&json!(5000), &json!("public")));
    let page = house.send(&read("book://pages/7")).await.result();
    assert_eq!(page["contents"], json!([{"uri": "book://pages/7", "text": "Page 7."}]));
    let legacy = house.send(&Request::legacy("resources/read", json!({"uri": "docs://book"}))).await.result();
    assert_eq!(legacy, json!({"contents": [{"uri": "docs://book", "blob": "AQI="}]}));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_in_the_words_of_the_era() {
    let house = House::new(furnish);
    for uri in ["docs://other", "docs://nothing", "book://pages/100", "book://pages/many", "book://pages/..", ""] {
        let reply = house.send(&read(uri)).await;
        assert_eq!(error(&reply), (200, -32602, format!("there is no resource {uri:?}")));
        assert_eq!(reply.json()["error"]["data"], json!({"uri": uri}));
        let reply = house.send(&Request::legacy("resources/read", json!({"uri": uri}))).await;
        assert_eq!(error(&reply).1, -32002);
    }
    let (status, code, told) = error(&house.send(&read("book://pages/13")).await);
    assert_eq!((status, code, told.as_str()), (200, -32603, "page 13 is torn"));
    let (status, code, told) = error(&house.send(&read("docs://panic")).await);
    assert_eq!((status, code), (200, -32603));
    assert!(told.starts_with("the tool failed inside; the server's log has the cause under "), "{told}");
}

#[tokio::test]
async fn a_prompt_gives_its_messages() {
    let house = House::new(furnish);
    let given = house.send(&get("review", json!({"code": "x", "words": "9", "tone": "stern"}))).await.result();
    assert_eq!(given["description"], "A review.");
    assert_eq!(
        given["messages"],
        json!([
            {"role": "user", "content": {"type": "text", "text": "x, Some(9), stern, for local"}},
            {"role": "assistant", "content": {"type": "text", "text": "Well."}},
        ])
    );
    let plain = house.send(&Request::modern("prompts/get", json!({"name": "plain"}))).await.result();
    assert_eq!(plain["description"], "Says one thing.");
    let listening = json!({"name": "review", "arguments": {"code": "x"}, "_meta": {"progressToken": 1}});
    let events = house.send(&Request::modern("prompts/get", listening)).await.events();
    assert_eq!((&events[0]["method"], events.len()), (&json!("notifications/progress"), 2));
}

#[tokio::test]
async fn a_prompt_that_cannot_be_given_says_why() {
    let house = House::new(furnish);
    for (name, arguments, why) in [
        ("reviews", json!({}), "there is no prompt \"reviews\"; did you mean \"review\"?"),
        ("review", json!({}), "the prompt \"review\" needs the argument \"code\""),
        ("review", json!({"code": 1}), "`params.arguments` must be an object whose values are strings"),
        ("review", json!([]), "`params.arguments` must be an object whose values are strings"),
        ("review", json!({"code": "x", "words": "many"}), "invalid type: string \"many\", expected u32"),
    ] {
        let (status, code, told) = error(&house.send(&get(name, arguments)).await);
        assert_eq!((status, code), (200, -32602), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn an_argument_is_completed() {
    let house = House::new(furnish);
    let complete = async |params: Value| house.send(&Request::modern("completion/complete", params)).await;
    let prompt = json!({"type": "ref/prompt", "name": "review"});
    let tones = complete(json!({"ref": prompt, "argument": {"name": "tone", "value": "ST"}})).await.result();
    assert_eq!(tones["completion"], json!({"values": ["stern"], "total": 1, "hasMore": false}));
    let known = json!({"arguments": {"code": "c"}});
    let words = json!({"ref": prompt, "argument": {"name": "words", "value": "1"}, "context": known});
    let words = complete(words).await.result();
    assert_eq!(words["completion"], json!({"values": ["1Some(\"c\")"], "total": 7, "hasMore": true}));
    let code = complete(json!({"ref": prompt, "argument": {"name": "code", "value": ""}})).await.result();
    assert_eq!(code["completion"], json!({"values": [], "hasMore": false}));
    let template = json!({"type": "ref/resource", "uri": "book://pages/{number}"});
    let numbers = complete(json!({"ref": template, "argument": {"name": "number", "value": "1"}})).await.result();
    assert_eq!(numbers["completion"]["values"], json!(["1", "12"]));
    for (params, why) in [
        (json!({}), "`params.ref` must be"),
        (json!({"ref": {"type": "ref/tool"}}), "`params.ref` must be"),
        (json!({"ref": prompt}), "`params.argument` must be"),
        (json!({"ref": prompt, "argument": {"name": "tune", "value": ""}}), "there is no argument \"tune\""),
        (
            json!({"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": ""}}),
            "no prompt \"x\"",
        ),
        (json!({"ref": {"type": "ref/resource", "uri": "x:"}, "argument": {"name": "a", "value": ""}}), "no template"),
        (
            json!({"ref": prompt, "argument": {"name": "code", "value": ""}, "context": {"arguments": 1}}),
            "must be an object",
        ),
    ] {
        let (status, code, told) = error(&complete(params).await);
        assert_eq!((status, code), (200, -32602), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn of_many_values_the_first_hundred_are_given() {
    let completion = Completion::new((0..101).map(|n| n.to_string()));
    let asked = Completing::default();
    assert_eq!(completion, Completion::among((0..101).map(|n| n.to_string()), &asked));
    assert_ne!(completion, Completion::new((0..100).map(|n| n.to_string())));
}

#[tokio::test]
async fn each_kind_of_content_is_shown_and_read_back() {
    async fn all() -> Result<ToolOutput, ToolError> {
        let link = ResourceLink::new("docs://book", "Book").title("T").description("D").mime_type("a/b").bytes(2);
        Ok(ToolOutput::text("text")
            .and(Content::image("image/png", [1]))
            .and(Content::audio("audio/wav", [2]))
            .and(Content::link(link).annotated(Annotations::new().audience(Role::Assistant)))
            .and(Content::resource(ResourceContents::blob("docs://book", [3]).mime_type("a/b"))))
    }
    let house = House::new(|builder| builder.tool(tool_fn("all", "All.", all)));
    let shown = house.call("all", json!({})).await["content"].take();
    assert_eq!(
        shown,
        json!([
            {"type": "text", "text": "text"},
            {"type": "image", "mimeType": "image/png", "data": "AQ=="},
            {"type": "audio", "mimeType": "audio/wav", "data": "Ag=="},
            {
                "type": "resource_link", "uri": "docs://book", "name": "Book", "title": "T", "description": "D",
                "mimeType": "a/b", "size": 2, "annotations": {"audience": ["assistant"]},
            },
            {"type": "resource", "resource": {"uri": "docs://book", "mimeType": "a/b", "blob": "Aw=="}},
        ])
    );
    let output = house.server.call_tool(local(), "all", mcp_core::Arguments::none()).await.unwrap();
    let again = ToolOutput::from_json(&output.to_json()).unwrap();
    assert_eq!(again.to_json(), output.to_json());
    assert_eq!(again.content(), output.content());
}

#[test]
fn what_cannot_be_offered_says_why() {
    let text = async || Ok::<_, ToolError>("x");
    let build = |furnish: &dyn Fn(ServerBuilder) -> ServerBuilder| {
        furnish(Server::builder("s", "1").clock(House::new(|builder| builder).clock)).build().err().unwrap().to_string()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _inside = runtime.enter();
    for (told, why) in [
        (build(&|builder| builder.resource(resource_fn("nowhere", "N", text))), "must begin with a scheme"),
        (build(&|builder| builder.resource(resource_fn("a://b", "", text))), "has no name"),
        (build(&|builder| builder.resource(resource_template_fn("a://{}", "N", page))), "is no variable"),
        (
            build(&|builder| {
                builder.resource(resource_fn("a://b", "1", text)).resource(resource_fn("a://b", "2", text))
            }),
            "another resource has this URI",
        ),
        (build(&|builder| builder.prompt(prompt_fn("", "D", text))), "1 to 128 bytes"),
        (
            build(&|builder| builder.prompt(prompt_fn("p", "1", text)).prompt(prompt_fn("p", "2", text))),
            "another prompt has this name",
        ),
    ] {
        assert!(told.contains(why), "{told}");
    }
}
