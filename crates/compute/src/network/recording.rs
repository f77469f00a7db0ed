//! A network that only exists on paper: it records which interface is in which VPC and moves no packet.
//!
//! It stands where the driver of real bridges will, so that the task engine and the operations above it are real
//! already. An installation must not take it for isolation between tenants.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    id::Id,
    store::{StoreError, Tx},
};

use super::{Changed, NetworkDriver};
use crate::{
    instances::{api::InstanceKind, rows::AddressRow},
    schema::{configured_addresses, network_attachments},
    vpcs::api::VpcKind,
};

/// Writes down the VPC that an instance's interface will be in when its machine is made.
pub(crate) fn plan_attachment(
    tx: &mut Tx<'_>,
    instance: Id<InstanceKind>,
    vpc: Id<VpcKind>,
) -> Result<(), StoreError> {
    let row = (
        network_attachments::instance_id.eq(instance),
        network_attachments::vpc_id.eq(vpc),
        network_attachments::attached_at.eq(tx.now()),
    );
    diesel::insert_into(network_attachments::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Records attachments in the table `network_attachments`, and addresses in `configured_addresses`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordingNetwork;

impl NetworkDriver for RecordingNetwork {
    fn attach<'a>(&'a self, app: &'a App, instance: Id<InstanceKind>, vpc: Id<VpcKind>) -> Changed<'a> {
        Box::pin(async move {
            let record = app.store().write("record_attachment", move |tx| {
                let now = tx.now();
                let known = network_attachments::table.find(instance);
                let moved = diesel::update(known)
                    .set((
                        network_attachments::vpc_id.eq(vpc),
                        network_attachments::attached_at.eq(now),
                    ))
                    .execute(tx.conn())?;
                if moved == 0 {
                    let row = (
                        network_attachments::instance_id.eq(instance),
                        network_attachments::vpc_id.eq(vpc),
                        network_attachments::attached_at.eq(now),
                    );
                    diesel::insert_into(network_attachments::table)
                        .values(row)
                        .execute(tx.conn())?;
                }
                Ok::<_, StoreError>(())
            });
            Ok(record.await?)
        })
    }

    fn detach<'a>(&'a self, app: &'a App, instance: Id<InstanceKind>, vpc: Id<VpcKind>) -> Changed<'a> {
        Box::pin(async move {
            let erase = app.store().write("erase_attachment", move |tx| {
                let known = network_attachments::table
                    .find(instance)
                    .filter(network_attachments::vpc_id.eq(vpc));
                diesel::delete(known).execute(tx.conn())?;
                Ok::<_, StoreError>(())
            });
            Ok(erase.await?)
        })
    }

    fn set_addresses<'a>(
        &'a self,
        app: &'a App,
        instance: Id<InstanceKind>,
        addresses: Vec<AddressRow>,
    ) -> Changed<'a> {
        Box::pin(async move {
            let record = app.store().write("record_addresses", move |tx| {
                let known =
                    configured_addresses::table.filter(configured_addresses::instance_id.eq(instance));
                diesel::delete(known).execute(tx.conn())?;
                for row in &addresses {
                    let row = (
                        configured_addresses::instance_id.eq(instance),
                        configured_addresses::address.eq(&row.address),
                    );
                    diesel::insert_into(configured_addresses::table)
                        .values(row)
                        .execute(tx.conn())?;
                }
                Ok::<_, StoreError>(())
            });
            Ok(record.await?)
        })
    }
}
