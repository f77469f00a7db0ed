//! The audit log's chains: what was tampered with is found.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::Organization,
    audit::{
        AuditRecord, AuditStatus, Changes, Event, Origin, SealKey, chain_of, sealer,
        verify::{Fault, Report, verify},
    },
    id::Id,
    schema::{audit_heads, audit_links, audit_records},
    store::{StoreError, Tx},
};
use testkit::{Server, on_both};

fn key(server: &Server) -> SealKey {
    server.app.store().seal_key().expect("the log has a key")
}

/// Writes `count` records and chains them; returns their ids in the order of the chain.
async fn records(server: &Server, organization: Id<Organization>, count: usize) -> Vec<Id<AuditRecord>> {
    for number in 0..count {
        let write = move |tx: &mut Tx<'_>| {
            let event = Event {
                action: "test.done",
                resource_type: "test",
                resource_id: organization.cast(),
                resource_name: format!("number {number}"),
                description: String::new(),
                changes: Changes::default(),
                status: AuditStatus::Success,
            };
            tx.audit(&Origin::system("test"), Some(organization), None, &event)
        };
        server.app.store().write("test", write).await.unwrap();
    }
    sealer::seal_all(server.app.store(), key(server)).await.unwrap();
    let chain = chain_of(Some(organization));
    let query = move |conn: &mut kernel::store::Conn| {
        let links = audit_links::table
            .filter(audit_links::chain.eq(chain))
            .order(audit_links::sequence);
        Ok::<_, StoreError>(links.select(audit_links::record_id).load(conn)?)
    };
    server.app.store().read("test", query).await.unwrap()
}

async fn report(server: &Server, organization: Id<Organization>) -> Report {
    verify(
        server.app.store(),
        key(server),
        chain_of(Some(organization)),
        |_, _| (),
    )
    .await
    .unwrap()
}

/// What somebody does who can write to the database.
async fn tamper(server: &Server, work: impl Fn(&mut Tx<'_>) -> Result<usize, StoreError> + Send + 'static) {
    assert!(server.app.store().write("tamper", work).await.unwrap() > 0);
}

on_both! {
    async fn a_chain_is_whole(server: Server) {
        let organization = Id::new();
        let ids = records(&server, organization, 1201).await;
        assert_eq!(ids.len(), 1201);
        let report = report(&server, organization).await;
        assert_eq!((report.fault, report.checked, report.unsound_count, report.unchained), (None, 1201, 0, 0));
        // What the demo has written, and the records of no organization.
        for chain in kernel::audit::verify::chains(server.app.store()).await.unwrap() {
            let report = verify(server.app.store(), key(&server), chain, |_, _| ()).await.unwrap();
            assert_eq!(report.fault, None);
        }
    }

    async fn requests_are_chained_beside(server: Server) {
        server.owner().patch(&server.instance(), &serde_json::json!({"name": "chained"})).await.expect(200);
        let organization = server.facts.owner.organization_id;
        // The server's own sealer, within seconds.
        for _ in 0..200 {
            let report = report(&server, organization).await;
            if report.fault.is_none() && report.unchained == 0 && report.checked > 0 {
                return assert_eq!(report.unsound_count, 0);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("nothing was chained");
    }

    async fn two_sealers_chain_each_record_once(server: Server) {
        let organization = Id::new();
        records(&server, organization, 5).await;
        let all = (0..8).map(|_| {
            let (store, key) = (server.app.store().clone(), key(&server));
            tokio::spawn(async move { sealer::seal_all(&store, key).await })
        });
        for sealer in all.collect::<Vec<_>>() {
            sealer.await.unwrap().unwrap();
        }
        assert_eq!(records(&server, organization, 300).await.len(), 305);
        assert_eq!(report(&server, organization).await.fault, None);
    }

    async fn a_changed_record_is_found(server: Server) {
        let organization = Id::new();
        let record = records(&server, organization, 5).await[2];
        tamper(&server, move |tx| {
            let target = audit_records::table.find(record);
            Ok(diesel::update(target).set(audit_records::actor_name.eq("nobody")).execute(tx.conn())?)
        }).await;
        let fault = report(&server, organization).await.fault;
        assert_eq!(fault, Some(Fault::ChangedRecord { sequence: 3, record }));
        assert!(fault.unwrap().to_string().contains(&record.to_string()));
    }

    async fn a_removed_record_is_found(server: Server) {
        let organization = Id::new();
        let record = records(&server, organization, 5).await[1];
        tamper(&server, move |tx| Ok(diesel::delete(audit_records::table.find(record)).execute(tx.conn())?)).await;
        assert_eq!(report(&server, organization).await.fault, Some(Fault::RemovedRecord { sequence: 2, record }));
        tamper(&server, move |tx| {
            Ok(diesel::delete(audit_links::table.filter(audit_links::record_id.eq(record))).execute(tx.conn())?)
        }).await;
        assert_eq!(report(&server, organization).await.fault, Some(Fault::MissingLinks { first: 2, before: 3 }));
    }

    async fn a_closed_gap_is_found(server: Server) {
        let organization = Id::new();
        let ids = records(&server, organization, 5).await;
        let chain = chain_of(Some(organization));
        tamper(&server, move |tx| {
            let target = audit_links::table.filter(audit_links::chain.eq(chain));
            diesel::delete(audit_links::table.filter(audit_links::record_id.eq(ids[1]))).execute(tx.conn())?;
            for sequence in 3..=5_i64 {
                diesel::update(target.filter(audit_links::sequence.eq(sequence)))
                    .set(audit_links::sequence.eq(sequence - 1)).execute(tx.conn())?;
            }
            Ok(diesel::delete(audit_records::table.find(ids[1])).execute(tx.conn())?)
        }).await;
        let fault = report(&server, organization).await.fault;
        assert!(matches!(fault, Some(Fault::BrokenLink { sequence: 2, .. })), "{fault:?}");
    }

    async fn swapped_records_are_found(server: Server) {
        let organization = Id::new();
        let ids = records(&server, organization, 5).await;
        let (chain, second, fourth) = (chain_of(Some(organization)), ids[1], ids[3]);
        tamper(&server, move |tx| {
            let put = |tx: &mut Tx<'_>, sequence: i64, record: Id<AuditRecord>| {
                let target = audit_links::table.filter(audit_links::chain.eq(chain)).filter(audit_links::sequence.eq(sequence));
                diesel::update(target).set(audit_links::record_id.eq(record)).execute(tx.conn())
            };
            put(tx, 2, Id::new())?;
            put(tx, 4, second)?;
            Ok(put(tx, 2, fourth)?)
        }).await;
        let fault = report(&server, organization).await.fault;
        assert_eq!(fault, Some(Fault::BrokenLink { sequence: 2, record: fourth }));
    }

    async fn a_cut_off_end_is_found(server: Server) {
        let organization = Id::new();
        let ids = records(&server, organization, 5).await;
        let chain = chain_of(Some(organization));
        tamper(&server, move |tx| {
            let ends = audit_links::table.filter(audit_links::chain.eq(chain)).filter(audit_links::sequence.gt(3_i64));
            diesel::delete(ends).execute(tx.conn())?;
            Ok(diesel::delete(audit_records::table.filter(audit_records::id.eq_any(&ids[3..]))).execute(tx.conn())?)
        }).await;
        assert_eq!(report(&server, organization).await.fault, Some(Fault::MissingLinks { first: 4, before: 6 }));
        // The end is written anew: its seal does not fit.
        tamper(&server, move |tx| {
            let third: String = audit_links::table.filter(audit_links::chain.eq(chain))
                .filter(audit_links::sequence.eq(3_i64)).select(audit_links::hash).first(tx.conn())?;
            let head = audit_heads::table.find(chain);
            Ok(diesel::update(head).set((audit_heads::sequence.eq(3_i64), audit_heads::hash.eq(third))).execute(tx.conn())?)
        }).await;
        assert_eq!(report(&server, organization).await.fault, Some(Fault::ForgedEnds));
        tamper(&server, move |tx| Ok(diesel::delete(audit_heads::table.find(chain)).execute(tx.conn())?)).await;
        assert_eq!(report(&server, organization).await.fault, Some(Fault::NoEnds));
    }

    async fn a_slipped_in_record_is_reported(server: Server) {
        let organization = Id::new();
        let ids = records(&server, organization, 2).await;
        tamper(&server, move |tx| {
            use diesel::SelectableHelper;
            let mut row: kernel::audit::AuditRow = audit_records::table.find(ids[0])
                .select(kernel::audit::AuditRow::as_select()).first(tx.conn())?;
            row.id = Id::new();
            row.actor_name = "somebody else".to_owned();
            Ok(diesel::insert_into(audit_records::table).values(&row).execute(tx.conn())?)
        }).await;
        let slipped = records(&server, organization, 1).await[2];
        let report = report(&server, organization).await;
        assert_eq!((report.fault, report.unsound_count, report.unsound, report.checked), (None, 1, vec![slipped], 4));
    }

    async fn another_key_proves_nothing(server: Server) {
        let organization = Id::new();
        records(&server, organization, 2).await;
        let other = SealKey::new([7; 32]);
        let report = verify(server.app.store(), other, chain_of(Some(organization)), |_, _| ()).await.unwrap();
        assert_eq!(report.fault, Some(Fault::ForgedEnds));
    }

    async fn what_is_left_after_forgetting_is_whole(server: Server, |config| { config.audit.keep_days = 30; }) {
        let organization = Id::new();
        records(&server, organization, 1203).await;
        server.clock.advance(std::time::Duration::from_hours(24 * 31));
        let ids = records(&server, organization, 3).await;
        let forgotten = kernel::audit::forget_old(&server.app, key(&server)).await.unwrap();
        assert!(forgotten >= 1203, "{forgotten}");
        let after = report(&server, organization).await;
        assert_eq!((after.fault, after.checked, after.end.0), (None, 3, 1206));
        assert_eq!(kernel::audit::forget_old(&server.app, key(&server)).await.unwrap(), 0);
        let chain = chain_of(Some(organization));
        let left = move |conn: &mut kernel::store::Conn| kernel::audit::count_records(conn, organization);
        assert_eq!(server.app.store().read("test", left).await.unwrap(), 3);
        // The beginning can't be moved further by somebody else.
        tamper(&server, move |tx| {
            let first = audit_links::table.filter(audit_links::record_id.eq(ids[1203]));
            let hash: String = first.select(audit_links::hash).first(tx.conn())?;
            diesel::delete(audit_links::table.filter(audit_links::record_id.eq(ids[1203]))).execute(tx.conn())?;
            diesel::delete(audit_records::table.find(ids[1203])).execute(tx.conn())?;
            let values = (audit_heads::anchor_sequence.eq(1204_i64), audit_heads::anchor_hash.eq(hash));
            Ok(diesel::update(audit_heads::table.find(chain)).set(values).execute(tx.conn())?)
        }).await;
        assert_eq!(report(&server, organization).await.fault, Some(Fault::ForgedEnds));
    }
}
