//! What LinkForty's receivers know: their names of events, and `data` with their fields. Made of what everybody else is told, so that one
//! message serves all. Pure.
//!
//! What is not kept here is null: addresses, coordinates, fingerprints. What LinkForty has no name for is told under ours.

use serde_json::{Map, Value, json};

use crate::webhooks::EventType;

/// Returns LinkForty's name of an event and its `data`.
pub fn legacy(event_type: EventType, data: &Value) -> (&'static str, Value) {
    match event_type {
        EventType::ClickRecorded | EventType::OpenRecorded => ("click_event", click(&data["click"])),
        EventType::InstallAttributed => ("install_event", install(&data["install"])),
        EventType::EventRecorded => ("conversion_event", event(&data["event"])),
        EventType::LinkCreated
        | EventType::LinkUpdated
        | EventType::LinkDeleted
        | EventType::InstallOrganic
        | EventType::RevenueRecorded
        | EventType::DomainVerified
        | EventType::ApiKeyExpiring
        | EventType::WebhookEndpointDisabled
        | EventType::TestSent
        | EventType::PostbackReceived => (event_type.name(), data.clone()),
    }
}

fn click(click: &Value) -> Value {
    let utm = &click["utm"];
    json!({
        "id": click["id"],
        "linkId": click["link_id"],
        "clickedAt": click["time"],
        "ipAddress": null,
        "userAgent": click["user_agent"],
        "deviceType": click["platform"],
        "platform": click["os"],
        "countryCode": click["country"],
        // The code stands for names here, as it does there for those that are not in its table.
        "countryName": click["country"],
        "region": click["region"],
        "city": click["city"],
        "latitude": null,
        "longitude": null,
        "timezone": null,
        "utmSource": utm["source"],
        "utmMedium": utm["medium"],
        "utmCampaign": utm["campaign"],
        "referrer": click["referrer_host"],
    })
}

fn install(install: &Value) -> Value {
    let nothing = || Value::Object(Map::new());
    json!({
        "id": install["id"],
        "linkId": install["link_id"],
        "fingerprintHash": null,
        "confidenceScore": install["confidence"],
        "installedAt": install["time"],
        "deepLinkData": install.pointer("/deep_link/parameters").cloned().unwrap_or_else(nothing),
        "ipAddress": null,
        "userAgent": null,
        "platform": install["platform"],
    })
}

fn event(event: &Value) -> Value {
    let nothing = || Value::Object(Map::new());
    json!({
        "eventId": event["id"],
        "installId": event["install_id"],
        "linkId": event["install_link_id"],
        "eventName": event["name"],
        "eventData": event.get("properties").cloned().unwrap_or_else(nothing),
        "timestamp": event["time"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linkfortys_receivers_find_what_they_know() {
        let told = json!({ "click": { "id": "c", "link_id": "l", "time": "2026-11-26T22:00:00Z", "platform": "ios", "os": "ios",
            "country": "CH", "user_agent": "Mozilla/5.0", "referrer_host": "example.com", "utm": { "source": "mail" } } });
        for event_type in [EventType::ClickRecorded, EventType::OpenRecorded] {
            let (name, data) = legacy(event_type, &told);
            assert_eq!(
                (name, &data["linkId"], &data["deviceType"]),
                ("click_event", &json!("l"), &json!("ios"))
            );
            assert_eq!((&data["utmSource"], &data["utmMedium"]), (&json!("mail"), &Value::Null));
            assert_eq!(data.as_object().map(Map::len), Some(18));
        }
        let told = json!({ "install": { "id": "i", "link_id": "l", "confidence": 90, "time": "t", "platform": "android",
            "deep_link": { "path": "/p", "parameters": { "a": "1" } } } });
        let (name, data) = legacy(EventType::InstallAttributed, &told);
        assert_eq!(
            (name, &data["confidenceScore"], &data["deepLinkData"]),
            ("install_event", &json!(90), &json!({ "a": "1" }))
        );
        let told = json!({ "event": { "id": "e", "install_id": "i", "install_link_id": "l", "link_id": "other", "name": "purchase", "time": "t",
            "properties": { "sku": 1 } } });
        let (name, data) = legacy(EventType::EventRecorded, &told);
        assert_eq!(
            (name, &data["linkId"], &data["eventData"]),
            ("conversion_event", &json!("l"), &json!({ "sku": 1 }))
        );
        let told = json!({ "link": {} });
        assert_eq!(legacy(EventType::LinkCreated, &told), ("link.created", told));
    }
}
