//! One statement for many rows: each statement goes to SQLite's thread and back, which costs more than what it does to a row.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, Value};

/// A statement that takes rows of so many values, as SQL for each power of two of them: so that each is compiled once and stays
/// compiled. The largest has fewer variables than SQLite takes (32,766).
pub(in crate::sql) struct Rows<const N: usize>([String; 10]);

impl<const N: usize> Rows<N> {
    /// Of SQL with `{rows}` where they are to stand.
    pub(in crate::sql) fn of(sql: &str) -> Self {
        let row = format!("({})", ["?"; N].join(", "));
        Self(std::array::from_fn(|power| sql.replace("{rows}", &vec![row.as_str(); 1 << power].join(", "))))
    }

    /// The statements that take all of `rows`, in their order.
    pub(in crate::sql) fn statements<R>(&self, mut rows: &[R], values: impl Fn(&R) -> [Value; N]) -> Vec<Statement> {
        let mut statements = Vec::new();
        while !rows.is_empty() {
            let power = (rows.len().ilog2() as usize).min(self.0.len() - 1);
            let (now, later) = rows.split_at(1 << power);
            let values = now.iter().flat_map(&values);
            statements.push(Statement::from_sql_and_values(DbBackend::Sqlite, &self.0[power], values));
            rows = later;
        }
        statements
    }

    /// Runs them, and gives all that they return.
    pub(in crate::sql) async fn ask<R>(
        &self,
        transaction: &DatabaseTransaction,
        rows: &[R],
        values: impl Fn(&R) -> [Value; N],
    ) -> Result<Vec<QueryResult>, DbErr> {
        let mut found = Vec::new();
        for statement in self.statements(rows, values) {
            found.append(&mut transaction.query_all_raw(statement).await?);
        }
        Ok(found)
    }
}
