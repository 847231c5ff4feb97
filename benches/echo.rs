//! A call of the tool `echo`, as a client sends it and as it must be answered, to the byte.

use std::fmt;

/// Which rules a call goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28.
    Modern,
    /// 2025-11-25.
    Legacy,
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Modern => "2026-07-28",
            Self::Legacy => "2025-11-25",
        })
    }
}

/// A call of `echo` with one text.
#[derive(Clone, Debug)]
pub struct Echo {
    /// By which rules.
    pub era: Era,
    /// The text as JSON, with its quotes.
    text: String,
}

impl Echo {
    /// A call with a short text.
    pub fn short(era: Era) -> Self {
        Self { era, text: "\"The quick brown fox jumps over the lazy dog.\"".to_owned() }
    }

    /// A call with 64 KiB of text in lines of 64 characters.
    pub fn long(era: Era) -> Self {
        let line = "Pack my box with five dozen liquor jugs; sphinx, judge my vow.\\n";
        Self { era, text: format!("\"{}\"", line.repeat(1024)) }
    }

    /// The headers that the protocol asks for, their names in lower case.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        const MODERN: &[(&str, &str)] = &[
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "echo"),
        ];
        const LEGACY: &[(&str, &str)] = &[
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        match self.era {
            Era::Modern => MODERN,
            Era::Legacy => LEGACY,
        }
    }

    /// The body of the request.
    pub fn body(&self) -> String {
        let meta = match self.era {
            Era::Modern => concat!(
                r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
                r#""io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"#,
                r#""io.modelcontextprotocol/clientCapabilities":{}}"#,
            ),
            Era::Legacy => "",
        };
        let text = &self.text;
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"message":{text}}}{meta}}}}}"#
        )
    }

    /// What a server without a protocol answers, and what the older era is answered.
    pub fn plain_answer(&self) -> String {
        let text = &self.text;
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":{text}}}]}}}}"#)
    }

    /// What the server `hello` answers.
    pub fn answer(&self) -> String {
        let text = &self.text;
        match self.era {
            Era::Legacy => self.plain_answer(),
            Era::Modern => format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete","content":[{{"type":"text","text":{text}}}],"_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"hello","version":"1.0.0"}}}}}}}}"#
            ),
        }
    }
}
