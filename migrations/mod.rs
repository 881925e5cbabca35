//! The list of migrations, oldest first. `README.md` has the rules.

use sea_orm_migration::prelude::*;

mod m20261122_000001_first;
mod m20261122_000002_destinations;
mod m20261122_000003_countries;
mod m20261122_000004_routing_rules;
mod m20261122_000005_limits;
mod m20261122_000006_doors;
mod m20261122_000008_campaigns;
mod m20261126_000003_routing_tests;
mod m20261126_000005_domains;
mod m20261126_000009_apps;
mod m20261126_000012_options;
mod m20261126_000013_histories;
mod m20261126_000014_lists;
mod m20261126_000015_reports;
mod m20261126_000018_imports;
mod m20261126_000020_template_and_domain_lists;
mod m20261126_000030_attribution;
mod m20261126_000031_events;
mod m20261126_000032_candidates;
mod m20261126_000033_outbox;
mod m20261126_000040_sessions;
mod m20261126_000041_attempts;
mod m20261126_000042_mails;
mod m20261126_000043_second_factors;
mod m20261126_000050_people;
mod m20261126_000051_keys;
mod m20261126_000060_audit;
mod m20261127_000061_service_certificates;
mod m20261127_000070_identities;
mod m20261127_000071_passkeys;
mod m20261127_000090_certificates;
mod m20261127_000100_feed;
mod m20261127_000110_rollups;
mod m20261127_000120_saved_reports;
mod m20261127_000121_clicks_of_links;
mod m20261127_000122_awaited_clicks;
mod m20261127_000130_webhooks;
mod m20261127_000140_rollup_storage;
mod m20261127_000150_postbacks;
mod m20261127_000160_decisions;
mod m20261127_000161_fraud_rules;
mod m20261127_000170_takeovers;
mod m20261127_000180_network_claims;
mod m20261127_000181_views;
mod m20261127_000182_app_opens;
mod m20261127_000190_costs;
mod sql;

/// Knows every migration.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_first::Migration),
            Box::new(m20261122_000002_destinations::Migration),
            Box::new(m20261122_000003_countries::Migration),
            Box::new(m20261122_000004_routing_rules::Migration),
            Box::new(m20261122_000005_limits::Migration),
            Box::new(m20261122_000006_doors::Migration),
            Box::new(m20261122_000008_campaigns::Migration),
            Box::new(m20261126_000003_routing_tests::Migration),
            Box::new(m20261126_000005_domains::Migration),
            Box::new(m20261126_000009_apps::Migration),
            Box::new(m20261126_000012_options::Migration),
            Box::new(m20261126_000013_histories::Migration),
            Box::new(m20261126_000014_lists::Migration),
            Box::new(m20261126_000015_reports::Migration),
            Box::new(m20261126_000018_imports::Migration),
            Box::new(m20261126_000020_template_and_domain_lists::Migration),
            Box::new(m20261126_000030_attribution::Migration),
            Box::new(m20261126_000031_events::Migration),
            Box::new(m20261126_000032_candidates::Migration),
            Box::new(m20261126_000033_outbox::Migration),
            Box::new(m20261126_000040_sessions::Migration),
            Box::new(m20261126_000041_attempts::Migration),
            Box::new(m20261126_000042_mails::Migration),
            Box::new(m20261126_000043_second_factors::Migration),
            Box::new(m20261126_000050_people::Migration),
            Box::new(m20261126_000051_keys::Migration),
            Box::new(m20261126_000060_audit::Migration),
            Box::new(m20261127_000061_service_certificates::Migration),
            Box::new(m20261127_000070_identities::Migration),
            Box::new(m20261127_000071_passkeys::Migration),
            Box::new(m20261127_000090_certificates::Migration),
            Box::new(m20261127_000100_feed::Migration),
            Box::new(m20261127_000110_rollups::Migration),
            Box::new(m20261127_000120_saved_reports::Migration),
            Box::new(m20261127_000121_clicks_of_links::Migration),
            Box::new(m20261127_000122_awaited_clicks::Migration),
            Box::new(m20261127_000130_webhooks::Migration),
            Box::new(m20261127_000140_rollup_storage::Migration),
            Box::new(m20261127_000150_postbacks::Migration),
            Box::new(m20261127_000160_decisions::Migration),
            Box::new(m20261127_000161_fraud_rules::Migration),
            Box::new(m20261127_000170_takeovers::Migration),
            Box::new(m20261127_000180_network_claims::Migration),
            Box::new(m20261127_000181_views::Migration),
            Box::new(m20261127_000182_app_opens::Migration),
            Box::new(m20261127_000190_costs::Migration),
        ]
    }
}
