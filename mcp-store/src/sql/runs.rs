//! Runs in SQL: who claims them, what they are told, and what is shown of them. Their steps are written by the ledger.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::records::Keep;
use mcp_core::store::runs::{
    Claimed, Hold, Input, MOST_INPUTS, NewRun, Posted, RunId, RunQuery, RunRecord, RunState, Runs, STORE, StepRecord,
    check_size,
};
use sea_orm::prelude::Uuid;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait, Select, Statement, Value,
};

use super::Database;
use super::content::Content;
use super::entity::run::uuid;
use super::entity::step::number;
use super::entity::{input, run, step};
use super::error::store_error;
use super::large::LargeBytes;
use super::now::{Now, micros};
use super::standing::run_key;
use super::text::{shown, stored};

/// [`Runs`] in SQL: by the clock of PostgreSQL, which replicas share, or by that of the one process that has the file.
pub(crate) struct SqlRuns {
    database: Database,
    now: Now,
    large: LargeBytes,
}

/// The time in microseconds when the statement came: it stays the same meanwhile, so that an index can be asked.
const POSTGRES_ASKED: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";

/// Run twice, it finds its own row.
const CREATE: &str = "INSERT INTO mcp_runs ({columns}) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, 0, {now}, NULL, '', NULL) ON CONFLICT DO NOTHING";

/// What a claim changes. `mcp_steps` shows whether the run has moved on since it was last claimed.
const CLAIM: &str = "UPDATE mcp_runs SET state = 'running', epoch = epoch + 1, due = {now} + $3, \
    attempts = CASE WHEN position < {steps} THEN 1 ELSE attempts + 1 END, position = {steps}";

const STEPS: &str = "(SELECT coalesce(max(number) + 1, 0) FROM mcp_steps \
                      WHERE mcp_steps.tenant = mcp_runs.tenant AND mcp_steps.run = mcp_runs.id)";

/// What is due is looked for once, and locked: were it looked for again for each row that is changed, as a plan may do with a
/// query inside of the condition, more than the limit would be claimed.
const CLAIM_POSTGRES: &str = "WITH found AS MATERIALIZED (SELECT tenant AS found_tenant, id AS found_id FROM mcp_runs \
    WHERE kind = $1 AND due <= {asked} ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED) \
    {claim} FROM found WHERE tenant = found_tenant AND id = found_id RETURNING {columns}";

const CLAIM_SQLITE: &str = "{claim} WHERE (tenant, id) IN \
    (SELECT tenant, id FROM mcp_runs WHERE kind = $1 AND due <= {now} ORDER BY due LIMIT $2) RETURNING {columns}";

const COLUMNS: &str = "tenant, id, format, principal, kind, parent, arguments, at, state, epoch, attempts, position, inputs, \
                       due, ended, result, blob";

const NEXT: &str = "SELECT min(due) - {now} FROM mcp_runs WHERE kind = $1";

/// In the order in which everybody locks several runs: see the writer of steps.
const RENEW_POSTGRES: &str = "WITH held AS MATERIALIZED (SELECT tenant AS held_tenant, id AS held_id FROM mcp_runs \
    WHERE (tenant, id, epoch) IN (VALUES {held}) AND state = 'running' AND due > {now} \
    ORDER BY tenant, id FOR NO KEY UPDATE) \
    UPDATE mcp_runs SET due = {now} + $1 FROM held WHERE tenant = held_tenant AND id = held_id \
    RETURNING tenant, id, epoch, inputs";

const RENEW_SQLITE: &str = "UPDATE mcp_runs SET due = {now} + $1 WHERE (tenant, id, epoch) IN (VALUES {held}) \
    AND state = 'running' AND due > {now} RETURNING tenant, id, epoch, inputs";

/// Kind by kind, since that is how the index of what is due can be asked; the kinds are found by the same index.
const LONGEST_DUE: &str = "WITH RECURSIVE kinds(name) AS (SELECT min(kind) FROM mcp_runs UNION ALL \
    SELECT (SELECT min(kind) FROM mcp_runs WHERE kind > name) FROM kinds WHERE name IS NOT NULL) \
    SELECT {now} - min((SELECT min(due) FROM mcp_runs WHERE kind = name)) FROM kinds WHERE name IS NOT NULL";

const OLD: &str = "SELECT tenant, id FROM mcp_runs WHERE ended < $1 ORDER BY ended LIMIT $2";

const TOO_MANY: &str =
    "SELECT tenant, count(*) FROM mcp_runs WHERE ended IS NOT NULL GROUP BY tenant HAVING count(*) > $1 LIMIT 1";
const OLDEST: &str = "SELECT tenant, id FROM mcp_runs WHERE tenant = $1 AND ended IS NOT NULL ORDER BY ended LIMIT $2";

/// SQLite is told by what to find them: of what has ended, a principal may have a great many.
const OPEN: &str = "SELECT count(*) FROM (SELECT 1 FROM mcp_runs{by} WHERE tenant = $1 AND principal = $2 AND kind = $3 \
    AND ended IS NULL AND parent IS NULL LIMIT $4) AS found";

impl SqlRuns {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, large: LargeBytes) -> Self {
        let now = Now::new(database.backend(), clock);
        Self { database, now, large }
    }

    /// What seals and opens what runs are about.
    fn content(&self) -> &Content {
        self.large.content()
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        let sql = sql.replace("{steps}", STEPS).replace("{columns}", COLUMNS).replace("{asked}", POSTGRES_ASKED);
        self.now.statement(&sql, values)
    }

    pub(super) fn claiming(&self, kind: &str, limit: u16, lease: Duration) -> Statement {
        let claim = match self.database.backend() {
            DbBackend::Postgres => CLAIM_POSTGRES,
            _ => CLAIM_SQLITE,
        };
        let values = [stored(kind).into_owned().into(), i64::from(limit).into(), micros(lease)];
        self.statement(&claim.replace("{claim}", CLAIM), values)
    }

    pub(super) fn looking_ahead(&self, kind: &str) -> Statement {
        self.statement(NEXT, [stored(kind).into_owned().into()])
    }

    /// How long it is until the next run of a kind is due.
    async fn next(&self, kind: &str) -> Result<Option<Duration>, DbErr> {
        let row = self.database.writer().query_one_raw(self.looking_ahead(kind)).await?;
        let micros = row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten();
        Ok(micros.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
    }

    async fn rows<const N: usize>(&self, sql: &str, values: [Value; N]) -> Result<Vec<QueryResult>, DbErr> {
        self.database.readers().query_all_raw(self.statement(sql, values)).await
    }

    async fn find_overdue(&self, keep: Keep, limit: u16) -> Result<Vec<(Tenant, RunId)>, DbErr> {
        let (mut rows, limit) = (Vec::new(), i64::from(limit));
        if let Some(since) = keep.since {
            rows = self.rows(OLD, [since.as_micros().into(), limit.into()]).await?;
        }
        if let Some(most) = keep.most
            && rows.is_empty()
        {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            if let Some(row) = self.rows(TOO_MANY, [most.into()]).await?.first() {
                let (tenant, count): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                rows = self.rows(OLDEST, [tenant.into(), (count - most).min(limit).into()]).await?;
            }
        }
        let run = |row: &QueryResult| {
            let (tenant, id): (String, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            Ok((Tenant::from(shown(tenant)), RunId::from_u128(id.as_u128())))
        };
        rows.iter().map(run).collect()
    }
}

#[async_trait]
impl Runs for SqlRuns {
    async fn create(&self, run: &NewRun) -> Result<(), StoreError> {
        check_size(&run.arguments)?;
        let row = run::Model::from(&RunRecord::from(run.clone()));
        let arguments = || run::place(run::COLUMNS[0], &row.tenant, row.id);
        let arguments = self.content().seal(arguments, &row.arguments)?.into_owned();
        let values: [Value; 9] = [
            row.tenant.into(),
            row.id.into(),
            row.format.into(),
            row.principal.into(),
            row.kind.into(),
            row.parent.into(),
            arguments.into(),
            row.at.into(),
            row.state.into(),
        ];
        let create = self.statement(CREATE, values);
        self.database.writer().execute_raw(create).await.map(drop).map_err(store_error(STORE))
    }

    /// Run twice, where the answer was lost, it claims others: the first ones are nobody's until their leases are over.
    async fn claim(&self, kind: &str, limit: u16, lease: Duration) -> Result<Claimed, StoreError> {
        let claim = self.claiming(kind, limit, lease);
        let rows =
            run::Entity::find().from_raw_sql(claim).all(self.database.writer()).await.map_err(store_error(STORE))?;
        let rows = self.large.fill_all(rows).await?;
        let runs =
            rows.into_iter().map(RunRecord::try_from).collect::<Result<Vec<_>, _>>().map_err(store_error(STORE))?;
        let next = if runs.len() < limit.into() { self.next(kind).await.map_err(store_error(STORE))? } else { None };
        Ok(Claimed { runs, next })
    }

    /// Run twice, it renews twice.
    async fn renew(&self, held: &[Hold], lease: Duration) -> Result<Vec<Option<u32>>, StoreError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let (mut values, mut places) = (vec![micros(lease)], Vec::new());
        for hold in held {
            let ((tenant, id), place) = (run_key(hold), values.len());
            places.push(format!("(${}, ${}, ${})", place + 1, place + 2, place + 3));
            values.extend([tenant.into(), id.into(), hold.epoch.cast_signed().into()]);
        }
        let renew = match self.database.backend() {
            DbBackend::Postgres => RENEW_POSTGRES,
            _ => RENEW_SQLITE,
        };
        let renew = self.statement(&renew.replace("{held}", &places.join(", ")), values);
        let rows = self.database.writer().query_all_raw(renew).await.map_err(store_error(STORE))?;
        let mut renewed = std::collections::HashMap::new();
        for row in rows {
            let read = || {
                Ok((
                    (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
                    (row.try_get_by_index(2)?, row.try_get_by_index(3)?),
                ))
            };
            let (key, value): ((String, Uuid), (i64, i32)) = read().map_err(store_error(STORE))?;
            renewed.insert(key, value);
        }
        let inputs = |hold: &Hold| {
            let (epoch, inputs) = renewed.get(&run_key(hold))?;
            (epoch.cast_unsigned() == hold.epoch).then(|| u32::try_from(*inputs).unwrap_or(0))
        };
        Ok(held.iter().map(inputs).collect())
    }

    async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let select = run::Entity::find_by_id((stored(tenant.as_str()).into_owned(), uuid(run)));
        let row = select.one(self.database.readers()).await.map_err(store_error(STORE))?;
        let Some(row) = row else { return Ok(None) };
        RunRecord::try_from(self.large.fill(row).await?).map(Some).map_err(store_error(STORE))
    }

    async fn runs(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunRecord>, StoreError> {
        let rows = select(tenant, query).all(self.database.readers()).await.map_err(store_error(STORE))?;
        let rows = self.large.fill_all(rows).await?;
        rows.into_iter().map(RunRecord::try_from).collect::<Result<_, _>>().map_err(store_error(STORE))
    }

    async fn ids(&self, tenant: &Tenant, query: &RunQuery) -> Result<Vec<RunId>, StoreError> {
        let ids = select(tenant, query).select_only().column(run::Column::Id).into_tuple::<Uuid>();
        let ids = ids.all(self.database.readers()).await.map_err(store_error(STORE))?;
        Ok(ids.into_iter().map(|id| RunId::from_u128(id.as_u128())).collect())
    }

    async fn open(&self, tenant: &Tenant, principal: &Principal, kind: &str, most: u16) -> Result<u16, StoreError> {
        let by = if self.database.backend() == DbBackend::Postgres { "" } else { " INDEXED BY mcp_runs_ended" };
        let [tenant, principal, kind]: [Value; 3] =
            [tenant.as_str(), principal.as_str(), kind].map(|text| stored(text).into_owned().into());
        let rows = self.rows(&OPEN.replace("{by}", by), [tenant, principal, kind, i64::from(most).into()]).await;
        let count = rows.and_then(|rows| rows.first().map_or(Ok(0), |row| row.try_get_by_index::<i64>(0)));
        Ok(count.map_err(store_error(STORE))?.try_into().unwrap_or(most))
    }

    async fn longest_due(&self) -> Result<Option<Duration>, StoreError> {
        let asked = self.database.readers().query_one_raw(self.statement(LONGEST_DUE, [])).await;
        let micros = asked.and_then(|row| row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose());
        let micros = micros.map_err(store_error(STORE))?.flatten();
        Ok(micros.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros))
    }

    async fn steps(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<StepRecord>, StoreError> {
        let select = step::Entity::find()
            .filter(step::Column::Tenant.eq(&*stored(tenant.as_str())))
            .filter(step::Column::Run.eq(uuid(run)))
            .filter(step::Column::Number.gte(number(from)))
            .order_by_asc(step::Column::Number)
            .limit(u64::from(limit));
        let rows = select.all(self.database.readers()).await.map_err(store_error(STORE))?;
        let rows = self.large.fill_all(rows).await?;
        rows.into_iter().map(StepRecord::try_from).collect::<Result<_, _>>().map_err(store_error(STORE))
    }

    async fn post(&self, tenant: &Tenant, run: RunId, input: &Input) -> Result<Posted, StoreError> {
        check_size(&input.body)?;
        let place = || input::place(&stored(tenant.as_str()), uuid(run), input::uuid(input.id));
        let body = self.content().seal(place, &input.body)?.into_owned();
        let key: [Value; 2] = [stored(tenant.as_str()).into_owned().into(), uuid(run).into()];
        let with = |values: &[Value]| key.iter().cloned().chain(values.iter().cloned()).collect::<Vec<_>>();
        let lock = if self.database.backend() == DbBackend::Postgres { " FOR NO KEY UPDATE" } else { "" };
        let look = format!("SELECT state, inputs FROM mcp_runs WHERE tenant = $1 AND id = $2{lock}");
        let posting = Posting {
            look: self.statement(&look, with(&[])),
            there: self.statement(THERE, with(&[input::uuid(input.id).into()])),
            insert: self.statement(
                INSERT,
                with(&[
                    input::uuid(input.id).into(),
                    stored(input.principal.as_str()).into_owned().into(),
                    input.kind.as_str().into(),
                    body.into(),
                    input.at.as_micros().into(),
                ]),
            ),
            wake: self.statement(WAKE, with(&[])),
        };
        let posted =
            self.database.transaction(|transaction| async move { posting.run(transaction).await }.boxed()).await;
        posted.map_err(store_error(STORE))?.ok_or(StoreError::Refused { store: STORE, source: None })
    }

    async fn inputs(&self, tenant: &Tenant, run: RunId, from: u32, limit: u16) -> Result<Vec<Input>, StoreError> {
        let select = input::Entity::find()
            .filter(input::Column::Tenant.eq(&*stored(tenant.as_str())))
            .filter(input::Column::Run.eq(uuid(run)))
            .filter(input::Column::Number.gte(number(from)))
            .order_by_asc(input::Column::Number)
            .limit(u64::from(limit));
        let rows = select.all(self.database.readers()).await.map_err(store_error(STORE))?;
        let mut inputs = Vec::with_capacity(rows.len());
        for mut row in rows {
            let stored = std::mem::take(&mut row.body);
            row.body = self.content().open(|| input::place(&row.tenant, row.run, row.id), stored).await?;
            inputs.push(Input::try_from(row).map_err(store_error(STORE))?);
        }
        Ok(inputs)
    }

    async fn overdue(&self, keep: Keep, limit: u16) -> Result<Vec<(Tenant, RunId)>, StoreError> {
        self.find_overdue(keep, limit).await.map_err(store_error(STORE))
    }
}

/// The statements that post an input. The run is locked first: then what is there of it stays as it is.
struct Posting {
    look: Statement,
    there: Statement,
    insert: Statement,
    wake: Statement,
}

const THERE: &str = "SELECT 1 FROM mcp_inputs WHERE tenant = $1 AND run = $2 AND id = $3";

const INSERT: &str = "INSERT INTO mcp_inputs (tenant, run, number, id, principal, kind, body, at) \
    SELECT tenant, id, inputs, $3, $4, $5, $6, $7 FROM mcp_runs WHERE tenant = $1 AND id = $2";

/// The lease of whoever holds it stays as it is: a renewal tells them.
const WAKE: &str = "UPDATE mcp_runs SET inputs = inputs + 1, \
    due = CASE WHEN state = 'running' OR due < {now} THEN due ELSE {now} END WHERE tenant = $1 AND id = $2";

impl Posting {
    /// Nothing, where the run has too many.
    async fn run(self, transaction: &DatabaseTransaction) -> Result<Option<Posted>, DbErr> {
        let Some(row) = transaction.query_one_raw(self.look).await? else { return Ok(Some(Posted::Missing)) };
        if transaction.query_one_raw(self.there).await?.is_some() {
            return Ok(Some(Posted::Kept));
        }
        let (state, inputs): (String, i32) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if state.parse().is_ok_and(RunState::is_end) {
            return Ok(Some(Posted::Ended));
        }
        if inputs >= number(MOST_INPUTS) {
            return Ok(None);
        }
        transaction.execute_raw(self.insert).await?;
        transaction.execute_raw(self.wake).await?;
        Ok(Some(Posted::Kept))
    }
}

pub(super) fn select(tenant: &Tenant, query: &RunQuery) -> Select<run::Entity> {
    use run::Column;
    run::Entity::find()
        .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
        .apply_if(query.principal.as_ref(), |select, principal| {
            select.filter(Column::Principal.eq(&*stored(principal.as_str())))
        })
        .apply_if(query.kind.as_deref(), |select, kind| select.filter(Column::Kind.eq(&*stored(kind))))
        .apply_if(query.state, |select, state| select.filter(Column::State.eq(state.as_str())))
        .apply_if(query.before, |select, before| select.filter(Column::Id.lt(uuid(before))))
        .order_by_desc(Column::Id)
        .limit(u64::from(query.limit))
}
