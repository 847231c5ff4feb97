//! The tables with columns that are content.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::StoreError;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use super::Renewal;
use crate::sql::Database;
use crate::sql::content::Place;
use crate::sql::text::shown;
use crate::sql::words::{Tokens, array, line};

/// A table, and what of it is content.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// In whose order it is walked over.
    walk: &'static [Key],
    /// By what its rows are told apart in [`Place`]s.
    place: &'static [Key],
    pub(super) columns: &'static [&'static str],
    is_text: bool,
    /// Whether its bytes may be in blobs.
    has_blobs: bool,
    /// Where SQLite has the words of its texts.
    words: Option<&'static str>,
}

/// A column of a key, and what is in it.
#[derive(Clone, Copy)]
enum Key {
    Text(&'static str),
    Id(&'static str),
    Number(&'static str),
}

use Key::{Id, Number, Text};

const RECORD: &[Key] = &[Text("tenant"), Id("id")];
const SESSION: &[Key] = &[Text("tenant"), Text("owner"), Text("handle")];

const fn table(
    name: &'static str,
    (walk, place): (&'static [Key], &'static [Key]),
    columns: &'static [&'static str],
) -> Table {
    Table { name, walk, place, columns, is_text: false, has_blobs: false, words: None }
}

pub(super) static TABLES: &[Table] = &[
    Table { has_blobs: true, ..table("mcp_calls", (RECORD, RECORD), &["arguments", "result"]) },
    Table { has_blobs: true, ..table("mcp_runs", (RECORD, RECORD), &["arguments", "result"]) },
    Table {
        has_blobs: true,
        ..table(
            "mcp_steps",
            (&[Text("tenant"), Id("run"), Number("number")], &[Text("tenant"), Id("run"), Number("number")]),
            &["body"],
        )
    },
    table(
        "mcp_inputs",
        (&[Text("tenant"), Id("run"), Number("number")], &[Text("tenant"), Id("run"), Id("id")]),
        &["body"],
    ),
    Table {
        is_text: true,
        words: Some("mcp_note_words"),
        ..table("mcp_notes", (&[Number("id")], &[Text("tenant"), Text("owner"), Text("name")]), &["text"])
    },
    Table {
        is_text: true,
        words: Some("mcp_message_words"),
        ..table(
            "mcp_messages",
            (&[Number("number")], &[Text("tenant"), Text("owner"), Id("thread"), Id("id")]),
            &["text"],
        )
    },
    Table {
        is_text: true,
        ..table(
            "mcp_threads",
            (&[Text("tenant"), Text("owner"), Id("id")], &[Text("tenant"), Text("owner"), Id("id")]),
            &["title"],
        )
    },
    table("mcp_sessions", (SESSION, SESSION), &["value"]),
    table("mcp_protocol_sessions", (SESSION, SESSION), &["value"]),
];

impl Key {
    fn name(self) -> &'static str {
        let (Self::Text(name) | Self::Id(name) | Self::Number(name)) = self;
        name
    }

    fn of(self, row: &QueryResult) -> Result<Part, DbErr> {
        Ok(match self {
            Self::Text(name) => Part::Text(row.try_get("", name)?),
            Self::Id(name) => Part::Id(row.try_get("", name)?),
            Self::Number(name) => {
                let narrow = |_| row.try_get::<i32>("", name).map(i64::from);
                Part::Number(row.try_get::<i64>("", name).or_else(narrow)?)
            }
        })
    }
}

/// A part of the key of a row.
#[derive(Clone)]
enum Part {
    Text(String),
    Id(Uuid),
    Number(i64),
}

impl Part {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Id(id) => (*id).into(),
            Self::Number(number) => (*number).into(),
        }
    }
}

/// What is in a column that is content.
pub(super) enum Stored {
    Bytes(Vec<u8>),
    Text(String),
}

impl From<Stored> for Value {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Bytes(bytes) => bytes.into(),
            Stored::Text(text) => text.into(),
        }
    }
}

/// A row of a table.
pub(super) struct Row {
    pub(super) table: &'static Table,
    walk: Vec<Part>,
    place: Vec<Part>,
    pub(super) stored: Vec<Stored>,
    /// Where its bytes are, if they are not in it.
    pub(super) blob: Option<String>,
}

impl Table {
    /// The next rows after one.
    pub(super) async fn page(
        &'static self,
        database: &Database,
        after: Option<&Row>,
        most: usize,
    ) -> Result<Vec<Row>, DbErr> {
        let names = |keys: &[Key]| keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(", ");
        let walk = names(self.walk);
        let (mut values, mut behind) = (Vec::new(), String::new());
        if let Some(after) = after {
            values = after.walk.iter().map(Part::value).collect();
            behind = format!("WHERE ({walk}) > ({})", places(1, values.len()).join(", "));
        }
        let sql = format!("SELECT * FROM {} {behind} ORDER BY {walk} LIMIT {most}", self.name);
        let rows = Statement::from_sql_and_values(database.backend(), sql, values);
        let rows = database.writer().query_all_raw(rows).await?;
        rows.iter().map(|row| self.row(row)).collect()
    }

    fn row(&'static self, row: &QueryResult) -> Result<Row, DbErr> {
        let key = |keys: &[Key]| keys.iter().map(|key| key.of(row)).collect::<Result<Vec<_>, _>>();
        let stored = |column: &&str| match self.is_text {
            true => row.try_get("", column).map(Stored::Text),
            false => row.try_get("", column).map(Stored::Bytes),
        };
        Ok(Row {
            table: self,
            walk: key(self.walk)?,
            place: key(self.place)?,
            stored: self.columns.iter().map(stored).collect::<Result<_, _>>()?,
            blob: if self.has_blobs { row.try_get("", "blob")? } else { None },
        })
    }
}

impl Row {
    pub(super) fn place(&self, column: &str) -> Place {
        let place = Place::of(&format!("{}.{column}", self.table.name));
        self.place.iter().fold(place, |place, part| match part {
            Part::Text(text) => place.text(text),
            Part::Id(id) => place.id(*id),
            Part::Number(number) => place.number(*number),
        })
    }

    /// What its key is, in a statement whose first values are these.
    pub(super) fn key(&self, first: usize) -> (String, Vec<Value>) {
        let places = places(first, self.walk.len());
        let equal = self.table.walk.iter().zip(places).map(|(key, place)| format!("{} = {place}", key.name()));
        (equal.collect::<Vec<_>>().join(" AND "), self.walk.iter().map(Part::value).collect())
    }

    /// The tenant whose row it is, as it is stored.
    pub(super) fn tenant(&self) -> &str {
        match self.place.first() {
            Some(Part::Text(tenant)) => tenant,
            _ => "",
        }
    }

    /// Writes a column anew, unless somebody has changed it meanwhile.
    pub(super) fn change(&self, backend: DbBackend, column: &str, old: &Stored, new: Stored) -> Statement {
        let (key, keys) = self.key(3);
        let sql = format!("UPDATE {} SET {column} = $1 WHERE {column} = $2 AND {key}", self.table.name);
        let old = match old {
            Stored::Bytes(bytes) => bytes.clone().into(),
            Stored::Text(text) => text.clone().into(),
        };
        Statement::from_sql_and_values(backend, sql, [new.into(), old].into_iter().chain(keys))
    }
}

impl Renewal {
    /// What is to stand in a column; nothing, where it does.
    pub(super) async fn renewed(&self, row: &Row, column: &str, stored: &Stored) -> Result<Option<Stored>, StoreError> {
        let place = || row.place(column);
        Ok(match stored {
            Stored::Bytes(bytes) if !self.content.is_current(bytes) => {
                let opened = self.content.open(place, bytes.clone()).await?;
                Some(Stored::Bytes(self.content.seal(place, &opened)?.into_owned()))
            }
            Stored::Text(text) if !self.content.is_current_text(text) => {
                let opened = self.content.open_text(place, text.clone()).await?;
                Some(Stored::Text(self.content.seal_text(place, &opened)?))
            }
            _ => None,
        })
    }

    /// What makes the words of a row's text those that are to be found. A row that was replaced meanwhile has others, under another
    /// number.
    pub(super) async fn words(&self, row: &Row) -> Result<Vec<Statement>, StoreError> {
        let (Some(words), Some(Stored::Text(text))) = (row.table.words, row.stored.first()) else {
            return Ok(Vec::new());
        };
        let text = match self.content.indexes() {
            true => self.content.open_text(|| row.place(row.table.columns[0]), text.clone()).await?,
            false => String::new(),
        };
        let (tenant, owner, name) = match &row.place[..] {
            [Part::Text(tenant), Part::Text(owner), Part::Text(name)] => (tenant, owner, shown(name.clone())),
            [Part::Text(tenant), Part::Text(owner), ..] => (tenant, owner, String::new()),
            _ => return Ok(Vec::new()),
        };
        let (tenant, owner) = (Tenant::from(shown(tenant.clone())), Principal::from(shown(owner.clone())));
        let tokens = Tokens::of(&tenant, &owner).all(&[&name, &text]);
        Ok(write_words(self.database.backend(), (row.table.name, words), row, tokens))
    }
}

fn write_words(backend: DbBackend, (table, words): (&str, &str), row: &Row, tokens: Vec<String>) -> Vec<Statement> {
    let (key, number) = row.key(2);
    if backend == DbBackend::Postgres {
        let sql = format!("UPDATE {table} SET words = $1 WHERE {key} AND words <> $1");
        return vec![Statement::from_sql_and_values(backend, sql, [array(tokens)].into_iter().chain(number))];
    }
    let remove = format!("DELETE FROM {words} WHERE rowid = $1");
    let write =
        format!("INSERT INTO {words} (rowid, words) SELECT $2, $1 WHERE EXISTS (SELECT 1 FROM {table} WHERE {key})");
    vec![
        Statement::from_sql_and_values(backend, remove, number.clone()),
        Statement::from_sql_and_values(backend, write, [line(&tokens).into()].into_iter().chain(number)),
    ]
}

fn places(first: usize, count: usize) -> Vec<String> {
    (first..first + count).map(|place| format!("${place}")).collect()
}
