//! hello.rs with a tool written by hand: its schema is known only when the program runs, so no type can say it.

use std::collections::BTreeMap;

use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use mcp_core::{Arguments, Context, Endpoint, Server, Tool, ToolError, ToolOutput, ToolSpec};
use serde::Deserialize;
use serde_json::json;

/// Converts between units that the program is told of at its start.
struct Convert {
    spec: ToolSpec,
    /// How many metres each unit has.
    metres: BTreeMap<String, f64>,
}

impl Convert {
    fn new(metres: BTreeMap<String, f64>) -> Self {
        let unit = json!({"enum": metres.keys().collect::<Vec<_>>()});
        let schema = BTreeMap::from([
            ("type", json!("object")),
            ("properties", json!({"length": {"type": "number"}, "from": unit, "to": unit})),
            ("required", json!(["length", "from", "to"])),
        ]);
        let spec = ToolSpec::new("convert", "Converts a length from one unit to another.")
            .input_json(schema.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            .read_only();
        Self { spec, metres }
    }
}

#[async_trait]
impl Tool for Convert {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// The arguments have been held against the schema, so each unit is one of ours.
    async fn call(&self, arguments: Arguments, _: Context) -> Result<ToolOutput, ToolError> {
        #[derive(Deserialize)]
        struct Order {
            length: f64,
            from: String,
            to: String,
        }
        let order: Order = arguments.parse()?;
        let converted = order.length * self.metres[&order.from] / self.metres[&order.to];
        Ok(ToolOutput::text(format!("{} {} is {converted} {}", order.length, order.from, order.to)))
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let units =
        std::env::var("UNITS").unwrap_or_else(|_| r#"{"metre": 1, "foot": 0.3048, "mile": 1609.344}"#.to_owned());
    let server = Server::builder("by-hand", "1.0.0").tool(Convert::new(serde_json::from_str(&units)?)).build()?;
    let endpoint = Endpoint::new(server);
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    HttpServer::new(move || App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone()))))
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}
