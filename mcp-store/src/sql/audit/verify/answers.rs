//! Keys of calls, each answered by the record of a call.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::audit::{Finding, Kind, Record, Verification};
use mcp_core::store::idempotency::CallKey;
use mcp_core::store::ledger::{Answer, CallId};
use sea_orm::{DbErr, FromQueryResult, QueryResult, Value};

use super::PAGE;
use crate::sql::audit::records::{self, Subject};
use crate::sql::audit::table::LinkTable;
use crate::sql::content::Content;
use crate::sql::entity::claim::Model;
use crate::sql::text::shown;
use mcp_core::store::hex::hex;

/// A link is looked for in the same statement: a key that is answered meanwhile has both.
const CLAIMS: &str = "SELECT c.*, EXISTS (SELECT 1 FROM mcp_links AS l WHERE l.tenant = c.tenant AND l.subject = c.owner \
    AND l.number = 0 AND l.kind = 'answer') AS linked FROM mcp_claims AS c {after} \
    ORDER BY c.tenant, c.principal, c.tool, c.key LIMIT {limit}";

const AFTER: &str = "WHERE (c.tenant, c.principal, c.tool, c.key) > ($1, $2, $3, $4)";

/// Finds keys that are not answered as they were. One that is not there was forgotten, of which no link tells.
pub(super) async fn verify(table: LinkTable<'_>, content: &Content, found: &mut Verification) -> Result<(), DbErr> {
    let mut after: Option<[String; 4]> = None;
    loop {
        let sql = CLAIMS.replace("{after}", if after.is_some() { AFTER } else { "" });
        let values: Vec<Value> = after.iter().flatten().cloned().map(Value::from).collect();
        let rows = table.rows(&sql.replace("{limit}", &PAGE.to_string()), values).await?;
        let mut answers = Vec::new();
        for row in &rows {
            let linked: bool = row.try_get("", "linked")?;
            match Model::from_query_result(row, "") {
                Ok(claim) if !claim.answered && !linked => {}
                Ok(claim) if claim.answered && linked => answers.extend(answer(&claim).or_else(|| {
                    found.find(Finding::RecordAltered(record(table, row)));
                    None
                })),
                Ok(claim) if claim.answered => found.find(Finding::RecordUnlinked(record(table, row))),
                _ => found.find(Finding::RecordAltered(record(table, row))),
            }
        }
        let subjects: Vec<Subject> = answers.iter().map(subject).collect();
        let links = records::links(table, &subjects).await?;
        for answer in answers {
            let (tenant, id, _) = subject(&answer);
            let links = links.get(&(tenant.clone(), id)).map_or(&[][..], Vec::as_slice);
            if !links.iter().any(|link| link.kind == Kind::ANSWER && content.is_linked(link.digest, answer.digest())) {
                found.find(Finding::RecordAltered(of(tenant.to_string(), answer.call.to_string())));
            }
        }
        // Keys rise, unless what stands there is no text.
        let last = rows.last().and_then(key);
        if rows.len() < PAGE || last.is_none() || last <= after {
            return Ok(());
        }
        after = last;
    }
}

fn key(row: &QueryResult) -> Option<[String; 4]> {
    let text = |column: &str| row.try_get::<String>("", column).ok();
    Some([text("tenant")?, text("principal")?, text("tool")?, text("key")?])
}

/// What was said when the key was answered, if this version would store it so.
fn answer(claim: &Model) -> Option<Answer> {
    let key = CallKey {
        tenant: Tenant::from(shown(claim.tenant.clone())),
        principal: Principal::from(shown(claim.principal.clone())),
        tool: shown(claim.tool.clone()),
        key: shown(claim.key.clone()),
    };
    let arguments = claim.digest.as_slice().try_into().ok()?;
    Some(Answer { key, arguments, call: CallId::from_u128(claim.owner.as_u128()) })
}

fn subject(answer: &Answer) -> Subject {
    (answer.key.tenant.clone(), answer.call.as_u128(), 0)
}

/// The key that this row is about, by the call that has it.
fn record(table: LinkTable<'_>, row: &QueryResult) -> Record {
    let id = match table.id_at(row, "owner").map(<[u8; 16]>::try_from) {
        Ok(Ok(id)) => CallId::from_u128(u128::from_be_bytes(id)).to_string(),
        Ok(Err(id)) => hex(&id),
        Err(_) => String::new(),
    };
    of(row.try_get("", "tenant").map(shown).unwrap_or_default(), id)
}

fn of(tenant: String, id: String) -> Record {
    Record { record: Kind::ANSWER.as_str().to_owned(), tenant, id, number: 0, chain: None, sequence: None }
}
