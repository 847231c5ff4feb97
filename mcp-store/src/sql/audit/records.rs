//! The records that links are about.

use std::collections::{BTreeSet, HashMap};

use mcp_core::caller::Tenant;
use mcp_core::store::StoreError;
use mcp_core::store::audit::{Kind, Link, RecordDigest};
use mcp_core::store::ledger::CallRecord;
use mcp_core::store::runs::{Hold, RunId, RunRecord, StepRecord};
use sea_orm::{DbErr, FromQueryResult, QueryResult, Value};

use super::table::{LinkTable, id};
use crate::error::reason;
use crate::sql::entity::{call, link, run, step};
use crate::sql::large::{Large, LargeBytes};
use crate::sql::text::{shown, stored};

/// A kind of record that is linked: whoever adds one adds it here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Recorded {
    Call,
    /// A run that has ended.
    Run,
    Step,
}

impl Recorded {
    pub(super) const ALL: [Self; 3] = [Self::Call, Self::Run, Self::Step];

    /// What its links say.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Call => Kind::CALL,
            Self::Run => Kind::RUN,
            Self::Step => Kind::STEP,
        }
    }

    /// That of which `kind` is.
    pub(super) fn of(kind: &Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|recorded| recorded.kind() == *kind)
    }

    /// With what it is removed: a step with its run.
    fn whole(self) -> Kind {
        match self {
            Self::Call => Kind::CALL,
            Self::Run | Self::Step => Kind::RUN,
        }
    }

    /// Whether this link says that such a record was removed.
    pub(super) fn is_removed_by(self, link: &Link) -> bool {
        is_removal(&link.kind) && link.digest == RecordDigest::of_removed(&self.whole())
    }

    /// Whether its id may be another record's, once it was removed: clients may choose those of runs.
    pub(super) fn may_come_again(self) -> bool {
        self != Self::Call
    }

    fn table(self) -> &'static str {
        match self {
            Self::Call => "mcp_calls",
            Self::Run => "mcp_runs",
            Self::Step => "mcp_steps",
        }
    }

    /// The column of its id.
    fn id(self) -> &'static str {
        match self {
            Self::Call | Self::Run => "id",
            Self::Step => "run",
        }
    }

    /// Whether several of them have one id, and each a number beside it.
    fn is_a_part(self) -> bool {
        self == Self::Step
    }

    /// The columns of its key.
    fn key(self) -> String {
        format!("r.tenant, r.{}{}", self.id(), if self.is_a_part() { ", r.number" } else { "" })
    }

    /// Which rows are such a record.
    fn condition(self) -> &'static str {
        match self {
            Self::Run => "r.ended IS NOT NULL",
            Self::Call | Self::Step => "0 = 0",
        }
    }

    /// The digest of a row, if this version would write it so.
    ///
    /// # Errors
    /// That of the store of blobs, where it cannot be asked.
    async fn digest(self, row: &QueryResult, large: &LargeBytes) -> Result<Found, DbErr> {
        Ok(match self {
            Self::Call => whole::<call::Model>(row, large).await?.and_then(|row| {
                let record = CallRecord::try_from(row.clone()).ok()?;
                (call::Model::from(&record) == row).then(|| record.digest())
            }),
            Self::Run => whole::<run::Model>(row, large).await?.and_then(|row| {
                let record = RunRecord::try_from(row.clone()).ok()?;
                (run::Model::from(&record) == row && record.due.is_none()).then(|| record.digest())
            }),
            Self::Step => whole::<step::Model>(row, large).await?.and_then(|row| {
                let tenant = Tenant::from(shown(row.tenant.clone()));
                let run = RunId::from_u128(row.run.as_u128());
                let StepRecord { epoch, step } = row.clone().try_into().ok()?;
                let hold = Hold { tenant, run, epoch };
                (step::Model::new(&hold, &step) == row).then(|| step.digest(&hold))
            }),
        })
    }
}

/// A row with all of its bytes; nothing, where it cannot be read, or its blob has others or is missing.
async fn whole<R: Large + FromQueryResult>(row: &QueryResult, large: &LargeBytes) -> Result<Option<R>, DbErr> {
    let Ok(row) = R::from_query_result(row, "") else { return Ok(None) };
    match large.fill(row).await {
        Ok(row) => Ok(Some(row)),
        Err(StoreError::Refused { .. }) => Ok(None),
        Err(error) => Err(DbErr::Custom(reason(&error))),
    }
}

pub(super) fn is_removal(kind: &Kind) -> bool {
    [Kind::EXPIRED, Kind::ERASED].contains(kind)
}

/// Whose record it is, its id, and which part of it.
pub(super) type Subject = (Tenant, u128, u64);

/// What a link is about, where that is a record.
pub(super) fn subject(link: &Link) -> Option<Subject> {
    link.tenant.clone().map(|tenant| (tenant, link.subject, link.number))
}

/// A record as it is: its digest; nothing, where it cannot be read.
pub(super) type Found = Option<[u8; 32]>;

/// How many records are read at once: each may be large.
const TOGETHER: usize = 16;

/// Those of the records that are there.
pub(super) async fn find(
    table: LinkTable<'_>,
    large: &LargeBytes,
    recorded: Recorded,
    subjects: &[Subject],
) -> Result<HashMap<Subject, Found>, DbErr> {
    let mut found = HashMap::with_capacity(subjects.len());
    let is_a_part = recorded.is_a_part();
    for subjects in subjects.chunks(TOGETHER) {
        let sql = format!(
            "SELECT * FROM {} AS r WHERE ({}) IN ({}) AND {}",
            recorded.table(),
            recorded.key(),
            keys(subjects.len(), is_a_part),
            recorded.condition(),
        );
        for row in table.rows(&sql, values(subjects, is_a_part)).await? {
            if let Some(subject) = at(table, recorded, &row) {
                found.insert(subject, recorded.digest(&row, large).await?);
            }
        }
    }
    Ok(found)
}

/// All links about the records, and those by which they were removed, under their tenants and ids.
pub(super) async fn links(
    table: LinkTable<'_>,
    subjects: &[Subject],
) -> Result<HashMap<(Tenant, u128), Vec<Link>>, DbErr> {
    let mut found = HashMap::<_, Vec<_>>::with_capacity(subjects.len());
    // What was removed is told of the whole.
    let wholes = subjects.iter().map(|(tenant, id, _)| (tenant.clone(), *id, 0));
    let subjects: BTreeSet<Subject> = subjects.iter().cloned().chain(wholes).collect();
    let subjects: Vec<Subject> = subjects.into_iter().collect();
    for subjects in subjects.chunks(TOGETHER * 8) {
        let sql =
            format!("SELECT * FROM mcp_links WHERE (tenant, subject, number) IN ({})", keys(subjects.len(), true));
        for row in table.rows(&sql, values(subjects, true)).await? {
            // What cannot be read is found where its chain is walked over.
            if let Some((tenant, id, link)) =
                link::link(&row).ok().and_then(|link| Some((link.tenant.clone()?, link.subject, link)))
            {
                found.entry((tenant, id)).or_default().push(link);
            }
        }
    }
    Ok(found)
}

/// Of records of which all were removed, those that are there, each with when it was linked last, in microseconds.
pub(super) async fn back(
    table: LinkTable<'_>,
    recorded: Recorded,
    subjects: &[Subject],
) -> Result<Vec<(Subject, Option<i64>)>, DbErr> {
    let mut found = Vec::new();
    for subjects in subjects.chunks(TOGETHER * 8) {
        let sql = format!(
            "SELECT {}, (SELECT max(l.at) FROM mcp_links AS l WHERE {}) AS linked FROM {} AS r \
             WHERE (r.tenant, r.{}) IN ({}) AND {}",
            recorded.key(),
            about(recorded),
            recorded.table(),
            recorded.id(),
            keys(subjects.len(), false),
            recorded.condition(),
        );
        for row in table.rows(&sql, values(subjects, false)).await? {
            if let Some(subject) = at(table, recorded, &row) {
                found.push((subject, row.try_get::<Option<i64>>("", "linked").ok().flatten()));
            }
        }
    }
    Ok(found)
}

/// Whether a link says that the record was written.
fn about(recorded: Recorded) -> String {
    format!(
        "l.tenant = r.tenant AND l.subject = r.{} AND l.kind = '{}'{}",
        recorded.id(),
        recorded.kind().as_str(),
        if recorded.is_a_part() { " AND l.number = r.number" } else { "" }
    )
}

/// Some records, in the order of their keys.
pub(super) struct Page {
    /// How many they are.
    pub(super) count: usize,
    /// Those that no link is about.
    pub(super) unlinked: Vec<Key>,
    /// Where to go on; nothing, where that cannot be told.
    pub(super) last: Option<Key>,
}

/// Where a record stands: whose it is, the bytes of its id, and which part of it.
pub(super) type Key = (String, Vec<u8>, i64);

/// The next records after one. One whose key cannot be read comes last.
pub(super) async fn page(
    table: LinkTable<'_>,
    recorded: Recorded,
    after: Option<Key>,
    limit: usize,
) -> Result<Page, DbErr> {
    let (key, mut values, mut after_it) = (recorded.key(), Vec::<Value>::new(), String::new());
    if let Some((tenant, id, part)) = after {
        values.extend([tenant.into(), table.id_of(&id)]);
        values.extend(recorded.is_a_part().then(|| part.into()));
        let last = if recorded.is_a_part() { "$1, $2, $3" } else { "$1, $2" };
        after_it = format!("AND ({key}) > ({last})");
    }
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let sql = format!(
        "SELECT r.tenant, r.{}, CAST({} AS bigint) AS part, EXISTS (SELECT 1 FROM mcp_links AS l WHERE {}) AS linked \
         FROM {} AS r WHERE {} {after_it} ORDER BY {key} LIMIT ${}",
        recorded.id(),
        if recorded.is_a_part() { "r.number" } else { "0" },
        about(recorded),
        recorded.table(),
        recorded.condition(),
        values.len()
    );
    let rows = table.rows(&sql, values).await?;
    let mut page = Page { count: rows.len(), unlinked: Vec::new(), last: None };
    for row in &rows {
        let (tenant, id) = (row.try_get::<String>("", "tenant").ok(), table.id_at(row, recorded.id()).ok());
        let part = row.try_get::<i64>("", "part").unwrap_or(0);
        page.last = tenant.zip(id).map(|(tenant, id)| (tenant, id, part));
        if !row.try_get::<bool>("", "linked")? {
            page.unlinked.push(page.last.clone().unwrap_or_default());
        }
    }
    Ok(page)
}

/// What a row is about.
fn at(table: LinkTable<'_>, recorded: Recorded, row: &QueryResult) -> Option<Subject> {
    let tenant: String = row.try_get("", "tenant").ok()?;
    let id = table.id_at(row, recorded.id()).ok()?;
    let part = if recorded.is_a_part() { row.try_get::<i32>("", "number").ok()? } else { 0 };
    Some((Tenant::from(shown(tenant)), u128::from_be_bytes(id.try_into().ok()?), u64::try_from(part).ok()?))
}

/// So many keys, with their numbers or without.
fn keys(count: usize, with_number: bool) -> String {
    let places = if with_number { 3 } else { 2 };
    let key = |n: usize| {
        let places: Vec<_> = (1..=places).map(|place| format!("${}", n * places + place)).collect();
        format!("({})", places.join(", "))
    };
    format!("VALUES {}", (0..count).map(key).collect::<Vec<_>>().join(", "))
}

fn values(subjects: &[Subject], with_number: bool) -> Vec<Value> {
    let mut values = Vec::with_capacity(subjects.len() * 3);
    for (tenant, subject, number) in subjects {
        values.extend([stored(tenant.as_str()).into_owned().into(), id(*subject)]);
        if with_number {
            values.push(i64::try_from(*number).unwrap_or(i64::MAX).into());
        }
    }
    values
}
