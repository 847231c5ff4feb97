//! The records that links are about.

use std::collections::HashMap;

use mcp_core::caller::Tenant;
use mcp_core::store::audit::{Kind, Link};
use mcp_core::store::ledger::CallRecord;
use sea_orm::{DbErr, FromQueryResult, QueryResult, Value};

use super::table::{LinkTable, id};
use crate::sql::entity::{call, link};
use crate::sql::text::{shown, stored};

/// A kind of record that is linked: whoever adds one adds it here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Recorded {
    Call,
}

impl Recorded {
    pub(super) const ALL: [Self; 1] = [Self::Call];

    /// What its links say.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Call => Kind::CALL,
        }
    }

    /// That of which `kind` is.
    pub(super) fn of(kind: &Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|recorded| recorded.kind() == *kind)
    }

    fn table(self) -> &'static str {
        match self {
            Self::Call => "mcp_calls",
        }
    }

    /// The digest of a row, if this version would write it so.
    fn digest(self, row: &QueryResult) -> Option<[u8; 32]> {
        match self {
            Self::Call => {
                let row = call::Model::from_query_result(row, "").ok()?;
                let record = CallRecord::try_from(row.clone()).ok()?;
                (call::Model::from(&record) == row).then(|| record.digest())
            }
        }
    }
}

/// Whose record it is, and its id.
pub(super) type Subject = (Tenant, u128);

/// What a link is about, where that is a record.
pub(super) fn subject(link: &Link) -> Option<Subject> {
    link.tenant.clone().map(|tenant| (tenant, link.subject))
}

/// A record as it is: its digest; nothing, where it cannot be read.
pub(super) type Found = Option<[u8; 32]>;

/// How many records are read at once: each may be large.
const TOGETHER: usize = 16;

/// Those of the records that are there.
pub(super) async fn find(
    table: LinkTable<'_>,
    recorded: Recorded,
    subjects: &[Subject],
) -> Result<HashMap<Subject, Found>, DbErr> {
    let mut found = HashMap::with_capacity(subjects.len());
    for subjects in subjects.chunks(TOGETHER) {
        let sql = format!("SELECT * FROM {} WHERE (tenant, id) IN ({})", recorded.table(), keys(subjects.len()));
        for row in table.rows(&sql, values(subjects)).await? {
            if let Some(subject) = key(table, &row) {
                found.insert(subject, recorded.digest(&row));
            }
        }
    }
    Ok(found)
}

/// All links about the records.
pub(super) async fn links(table: LinkTable<'_>, subjects: &[Subject]) -> Result<HashMap<Subject, Vec<Link>>, DbErr> {
    let mut found = HashMap::<_, Vec<_>>::with_capacity(subjects.len());
    for subjects in subjects.chunks(TOGETHER * 8) {
        let sql = format!("SELECT * FROM mcp_links WHERE (tenant, subject) IN ({})", keys(subjects.len()));
        for row in table.rows(&sql, values(subjects)).await? {
            // What cannot be read is found where its chain is walked over.
            let link = link::link(&row).ok().and_then(|link| Some((subject(&link)?, link)));
            if let Some((subject, link)) = link {
                found.entry(subject).or_default().push(link);
            }
        }
    }
    Ok(found)
}

/// Some records, in the order of their keys.
pub(super) struct Page {
    /// How many they are.
    pub(super) count: usize,
    /// Those that no link is about: whose, and the bytes of the id.
    pub(super) unlinked: Vec<(String, Vec<u8>)>,
    /// Where to go on; nothing, where that cannot be told.
    pub(super) last: Option<(String, Vec<u8>)>,
}

/// The next records after one. One whose key cannot be read comes last.
pub(super) async fn page(
    table: LinkTable<'_>,
    recorded: Recorded,
    after: Option<(String, Vec<u8>)>,
    limit: usize,
) -> Result<Page, DbErr> {
    let (condition, mut values) = match after {
        None => ("", Vec::new()),
        Some((tenant, id)) => ("WHERE (tenant, id) > ($1, $2)", vec![tenant.into(), table.id_of(&id)]),
    };
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let sql = format!(
        "SELECT tenant, id, EXISTS (SELECT 1 FROM mcp_links AS l WHERE l.tenant = r.tenant AND l.subject = r.id \
         AND l.kind = '{}') AS linked FROM {} AS r {condition} ORDER BY tenant, id LIMIT ${}",
        recorded.kind().as_str(),
        recorded.table(),
        values.len()
    );
    let rows = table.rows(&sql, values).await?;
    let mut page = Page { count: rows.len(), unlinked: Vec::new(), last: None };
    for row in &rows {
        page.last = row.try_get::<String>("", "tenant").ok().zip(table.id_at(row, "id").ok());
        if !row.try_get::<bool>("", "linked")? {
            page.unlinked.push(page.last.clone().unwrap_or_default());
        }
    }
    Ok(page)
}

fn key(table: LinkTable<'_>, row: &QueryResult) -> Option<Subject> {
    let tenant: String = row.try_get("", "tenant").ok()?;
    let id = table.id_at(row, "id").ok()?;
    Some((Tenant::from(shown(tenant)), u128::from_be_bytes(id.try_into().ok()?)))
}

fn keys(count: usize) -> String {
    let keys: Vec<_> = (0..count).map(|n| format!("(${}, ${})", 2 * n + 1, 2 * n + 2)).collect();
    format!("VALUES {}", keys.join(", "))
}

fn values(subjects: &[Subject]) -> Vec<Value> {
    subjects.iter().flat_map(|(tenant, subject)| [stored(tenant.as_str()).into_owned().into(), id(*subject)]).collect()
}
