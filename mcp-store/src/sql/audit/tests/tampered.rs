//! Rows that are altered, taken away, added or exchanged.

use super::*;

const CALL_COLUMNS: [(&str, &str); 14] = [
    ("tenant", "tenant || 'x'"),
    ("id", "x'000000000000000000000000000000aa'"),
    ("format", "format + 1"),
    ("parent", "CASE WHEN parent IS NULL THEN x'000000000000000000000000000000aa' END"),
    ("principal", "principal || 'x'"),
    ("tool", "'another'"),
    ("outcome", "CASE outcome WHEN 'ok' THEN 'error' ELSE 'ok' END"),
    ("at", "at + 1"),
    ("duration", "duration + 1"),
    ("arguments", "x'7b20207d'"),
    ("result", "x'7b20207d'"),
    ("blob", "'00000000000000000000000000000001'"),
    ("address", "CASE address WHEN '192.0.2.7' THEN NULL ELSE '192.0.2.7' END"),
    ("waited", "CASE WHEN waited IS NULL THEN 5 END"),
];

const LINK_COLUMNS: [(&str, &str); 10] = [
    ("chain", "x'ff0000000000000000000000000000aa'"),
    ("sequence", "sequence + 100"),
    ("format", "format + 1"),
    ("kind", "kind || 'x'"),
    ("tenant", "tenant || 'x'"),
    ("subject", "x'000000000000000000000000000000aa'"),
    ("number", "number + 1"),
    ("at", "at + 1"),
    ("digest", "x'1111111111111111111111111111111111111111111111111111111111111111'"),
    ("mac", "x'1111111111111111111111111111111111111111111111111111111111111111'"),
];

/// Remembers the rows of a SQLite database.
async fn remember(house: &House) {
    house.run("CREATE TABLE kept_calls AS SELECT rowid AS r, * FROM mcp_calls").await;
    house.run("CREATE TABLE kept_links AS SELECT rowid AS r, * FROM mcp_links").await;
}

/// Puts them back.
async fn restore(house: &House) {
    for (table, columns) in [
        (
            "calls",
            "rowid, tenant, id, format, parent, principal, tool, outcome, at, duration, arguments, result, blob, address, waited",
        ),
        ("links", "rowid, chain, sequence, format, kind, tenant, subject, number, at, digest, mac"),
    ] {
        let kept = columns.replacen("rowid", "r", 1);
        house.run(&format!("DELETE FROM mcp_{table}")).await;
        house.run(&format!("INSERT INTO mcp_{table} ({columns}) SELECT {kept} FROM kept_{table}")).await;
    }
}

fn hex_at(row: &sea_orm::QueryResult, column: &str) -> String {
    mcp_core::store::hex::hex(&row.try_get::<Vec<u8>>("", column).unwrap())
}

#[tokio::test]
async fn every_column_of_every_call_is_covered() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    let rows = house.rows("SELECT rowid AS r, id FROM mcp_calls").await;
    assert_eq!(rows.len(), 7);
    for row in rows {
        let (r, id): (i64, Vec<u8>) = (row.try_get("", "r").unwrap(), row.try_get("", "id").unwrap());
        let id = u128::from_be_bytes(id.try_into().unwrap());
        for (column, value) in CALL_COLUMNS {
            house.run(&format!("UPDATE mcp_calls SET {column} = {value} WHERE rowid = {r}")).await;
            let verified = house.verify().await;
            let (how, count) = if ["tenant", "id"].contains(&column) { ("missing", 2) } else { ("altered", 1) };
            assert!(tells(&verified, how, id), "{column} of {id}: {verified:?}");
            assert_eq!(verified.findings.len(), count, "{column} of {id}: {verified:?}");
            restore(&house).await;
        }
    }
    house.assert_whole().await;
}

#[tokio::test]
async fn every_column_of_every_link_is_covered() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    let rows = house.rows("SELECT rowid AS r, chain, sequence, kind FROM mcp_links").await;
    assert!(rows.len() > 12, "{}", rows.len());
    for row in &rows {
        let r: i64 = row.try_get("", "r").unwrap();
        let place = (hex_at(row, "chain"), row.try_get::<i64>("", "sequence").unwrap().cast_unsigned());
        for (column, value) in LINK_COLUMNS {
            house.run(&format!("UPDATE mcp_links SET {column} = {value} WHERE rowid = {r}")).await;
            let moved = house.rows(&format!("SELECT chain, sequence FROM mcp_links WHERE rowid = {r}")).await;
            let moved = (hex_at(&moved[0], "chain"), moved[0].try_get::<i64>("", "sequence").unwrap().cast_unsigned());
            let verified = house.verify().await;
            // The last link, which is not anchored yet, is missed where it was put, and not where it was.
            let is_told = |place: &(String, u64)| {
                verified.findings.iter().any(|finding| {
                    is_at(finding, &place.0, place.1.saturating_sub(1)) || is_at(finding, &place.0, place.1)
                })
            };
            assert!(is_told(&place) || is_told(&moved), "{column} of {place:?}: {verified:?}");
            if !["chain", "sequence", "subject", "tenant", "kind"].contains(&column) {
                assert!(
                    verified.findings.iter().any(|finding| is_at(finding, &place.0, place.1)),
                    "{column} of {place:?}: {verified:?}"
                );
                // What is wrong with a link that tells of others is wrong with those as well.
                if ["begun", "call"].contains(&&*row.try_get::<String>("", "kind").unwrap()) {
                    assert_eq!(verified.findings.len(), 1, "{column} of {place:?}: {verified:?}");
                }
            }
            restore(&house).await;
        }
    }
    house.assert_whole().await;
}

#[tokio::test]
async fn values_that_no_column_should_hold_are_findings_and_no_errors() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    for (table, columns) in [
        (
            "mcp_calls",
            &[
                "tenant",
                "id",
                "format",
                "parent",
                "principal",
                "tool",
                "outcome",
                "at",
                "duration",
                "arguments",
                "result",
                "blob",
            ][..],
        ),
        ("mcp_links", &["chain", "sequence", "format", "kind", "tenant", "subject", "number", "at", "digest", "mac"]),
    ] {
        for column in columns {
            for value in ["x'00'", "'text'", "-7", "1.5", "x'ff'", "zeroblob(33)"] {
                for row in ["min", "max"] {
                    house
                        .run(&format!(
                            "UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT {row}(rowid) FROM {table})"
                        ))
                        .await;
                    let verified = house.verify().await;
                    assert!(!verified.is_whole(), "{table}.{column} = {value}");
                    restore(&house).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_row_that_is_taken_away_is_missed() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    for id in [1_u128, 3, 4, 5, 6, 7, 8] {
        house.run(&format!("DELETE FROM mcp_calls WHERE id = x'{id:032x}'")).await;
        let verified = house.verify().await;
        assert!(tells(&verified, "missing", id) && verified.findings.len() == 1, "{id}: {verified:?}");
        restore(&house).await;
    }
    for row in house.rows("SELECT rowid AS r, chain, sequence, kind FROM mcp_links").await {
        let r: i64 = row.try_get("", "r").unwrap();
        let (chain, sequence) = (hex_at(&row, "chain"), row.try_get::<i64>("", "sequence").unwrap().cast_unsigned());
        house.run(&format!("DELETE FROM mcp_links WHERE rowid = {r}")).await;
        let verified = house.verify().await;
        let is_missed = verified.findings.iter().any(|finding| is_at(finding, &chain, sequence));
        // The last one was not anchored yet: its call is left.
        assert!(is_missed || tells(&verified, "unlinked", 8), "{chain} {sequence}: {verified:?}");
        restore(&house).await;
    }
}

#[tokio::test]
async fn a_row_that_is_added_is_noticed() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    let call = "INSERT INTO mcp_calls SELECT tenant, x'000000000000000000000000000000aa', format, parent, principal, tool, \
                outcome, at, duration, arguments, result, blob, address, waited FROM mcp_calls WHERE id = x'00000000000000000000000000000001'";
    house.run(call).await;
    let verified = house.verify().await;
    assert!(tells(&verified, "unlinked", 0xaa) && verified.findings.len() == 1, "{verified:?}");
    // With a link, but without the key to make its code.
    for (chain, last) in house.chains().await {
        house.run(&format!(
            "INSERT INTO mcp_links SELECT chain, {}, format, 'call', 'a', x'000000000000000000000000000000aa', 0, at, digest, mac \
             FROM mcp_links WHERE chain = x'{chain}' AND sequence = {last}",
            last + 1
        ))
        .await;
        let verified = house.verify().await;
        assert!(verified.findings.iter().any(|finding| is_at(finding, &chain, last + 1)), "{verified:?}");
        restore(&house).await;
    }
    // What was removed comes back.
    house.run("INSERT INTO mcp_calls SELECT tenant, x'00000000000000000000000000000002', format, parent, principal, tool, \
               outcome, at, duration, arguments, result, blob, address, waited FROM mcp_calls WHERE id = x'00000000000000000000000000000004'").await;
    assert!(tells(&house.verify().await, "back", 2));
}

#[tokio::test]
async fn rows_that_are_exchanged_are_both_found() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    for (chain, last) in house.chains().await {
        for (one, other) in [(1, 2), (1, 3), (0, last), (last - 1, last)] {
            for sql in [
                format!("UPDATE mcp_links SET sequence = -1 WHERE chain = x'{chain}' AND sequence = {one}"),
                format!("UPDATE mcp_links SET sequence = {one} WHERE chain = x'{chain}' AND sequence = {other}"),
                format!("UPDATE mcp_links SET sequence = {other} WHERE chain = x'{chain}' AND sequence = -1"),
            ] {
                house.run(&sql).await;
            }
            let verified = house.verify().await;
            for sequence in [one, other] {
                let is_told = verified.findings.iter().any(|finding| is_at(finding, &chain, sequence));
                assert!(is_told, "{one} and {other}: {verified:?}");
            }
            restore(&house).await;
        }
    }
    house.run("UPDATE mcp_calls SET result = CASE id WHEN x'00000000000000000000000000000003' THEN x'7b226e223a347d' \
               ELSE x'7b226e223a337d' END WHERE id IN (x'00000000000000000000000000000003', x'00000000000000000000000000000004')").await;
    let verified = house.verify().await;
    assert!(tells(&verified, "altered", 3) && tells(&verified, "altered", 4), "{verified:?}");
}

#[tokio::test]
async fn a_chain_that_is_cut_off_before_its_anchor_is_found() {
    let house = House::on_sqlite().await;
    house.furnish().await;
    remember(&house).await;
    for (chain, end) in house.chains().await {
        for last in 0..end - 1 {
            // With all that it is about, so that nothing else tells.
            house
                .run(&format!(
                    "DELETE FROM mcp_calls WHERE (tenant, id) IN \
                 (SELECT tenant, subject FROM mcp_links WHERE chain = x'{chain}' AND sequence > {last})"
                ))
                .await;
            house.run(&format!("DELETE FROM mcp_links WHERE chain = x'{chain}' AND sequence > {last}")).await;
            let verified = house.verify().await;
            let is_cut = |finding: &Finding| matches!(finding, Finding::ChainCut { chain: of, last: Some(at), .. } if *of == chain && *at == last);
            assert!(verified.findings.iter().any(is_cut), "{chain} after {last}: {verified:?}");
            restore(&house).await;
        }
        house.run(&format!("DELETE FROM mcp_links WHERE chain = x'{chain}'")).await;
        let verified = house.verify().await;
        let is_gone =
            |finding: &Finding| matches!(finding, Finding::ChainCut { chain: of, last: None, .. } if *of == chain);
        assert!(verified.findings.iter().any(is_gone), "{chain}: {verified:?}");
        restore(&house).await;
    }
    house.run("DELETE FROM mcp_links WHERE kind = 'pin'").await;
    assert_eq!(house.verify().await.findings, [Finding::PinBroken]);
    house.run("DELETE FROM mcp_links").await;
    assert_eq!(house.verify().await.findings.len(), 7, "each call is left alone");
}

#[tokio::test]
async fn on_postgres_as_well() {
    let house = House::on_postgres().await;
    house.furnish().await;
    let id = |id: u128| format!("'{}'", CallId::from_u128(id));
    for (change, back, how) in [
        (
            format!("UPDATE mcp_calls SET result = 'x' WHERE id = {}", id(3)),
            format!("UPDATE mcp_calls SET result = '{{\"n\":3}}' WHERE id = {}", id(3)),
            "altered",
        ),
        (
            format!("UPDATE mcp_calls SET at = at + 1 WHERE id = {}", id(3)),
            format!("UPDATE mcp_calls SET at = at - 1 WHERE id = {}", id(3)),
            "altered",
        ),
        (
            format!("UPDATE mcp_calls SET id = {} WHERE id = {}", id(0xaa), id(3)),
            format!("UPDATE mcp_calls SET id = {} WHERE id = {}", id(3), id(0xaa)),
            "missing",
        ),
    ] {
        house.run(&change).await;
        let verified = house.verify().await;
        assert!(tells(&verified, how, 3), "{change}: {verified:?}");
        house.run(&back).await;
        house.assert_whole().await;
    }
    for (chain, last) in house.chains().await {
        let at = format!("chain = '{chain}' AND sequence = 1");
        house.run(&format!("UPDATE mcp_links SET at = at + 1 WHERE {at}")).await;
        let verified = house.verify().await;
        assert_eq!(verified.findings, [Finding::LinksAltered { chain: chain.clone(), first: 1, last: 1 }]);
        house.run(&format!("UPDATE mcp_links SET at = at - 1 WHERE {at}")).await;
        house.run(&format!("CREATE TABLE kept AS SELECT * FROM mcp_links WHERE {at}")).await;
        house.run(&format!("DELETE FROM mcp_links WHERE {at}")).await;
        let verified = house.verify().await;
        assert!(verified.findings.iter().any(|finding| is_at(finding, &chain, 1)), "{verified:?}");
        house.run("INSERT INTO mcp_links SELECT * FROM kept").await;
        house.run("DROP TABLE kept").await;
        house.assert_whole().await;
        assert!(last > 1);
    }
    house.run("DELETE FROM mcp_links WHERE sequence > 2; DELETE FROM mcp_calls").await;
    let verified = house.verify().await;
    assert!(
        verified.findings.iter().any(|finding| matches!(finding, Finding::ChainCut { last: Some(2), .. })),
        "{verified:?}"
    );
}
