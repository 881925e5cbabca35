//! What is told, and what becomes of telling it.

use sea_orm::DbErr;
use uuid::Uuid;

use super::EventType;
use crate::{
    clock::Moment,
    entity::webhook_message::Model,
    ids::{MessageId, WebhookEndpointId, WorkspaceId},
};

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which; [`Message::told_id`] is what receivers know it by.
    pub id: MessageId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// The endpoint that it was written for; `None`: for whoever wants it.
    pub endpoint: Option<WebhookEndpointId>,
    /// What happened.
    pub event_type: EventType,
    /// What it happened to: a link, click, install, event, domain, key or endpoint; of many the first.
    pub subject: Uuid,
    /// When it happened.
    pub time: Moment,
    /// What is told of it: the JSON of `data`.
    pub body: Vec<u8>,
}

/// What becomes of telling one endpoint one message. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum DeliveryState {
    /// It is to be tried.
    Due = 1,
    /// The endpoint has it.
    Delivered = 2,
    /// It was tried to no avail.
    GivenUp = 3,
    /// Nobody wants it told any more.
    Cancelled = 4,
}

impl DeliveryState {
    /// Returns the state that a number stands for; `None` for what a later release made up.
    pub const fn of_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Due),
            2 => Some(Self::Delivered),
            3 => Some(Self::GivenUp),
            4 => Some(Self::Cancelled),
            _ => None,
        }
    }
}

impl Message {
    /// Returns the id that receivers know it by: the same in every attempt.
    pub fn told_id(&self) -> String {
        told_id(self.id)
    }

    /// Reads a row.
    pub fn read(row: Model) -> Result<Self, DbErr> {
        let Model { id, workspace_id, endpoint_id, event_type, subject_id, time, body } = row;
        let event_type = EventType::of_number(event_type)
            .ok_or_else(|| DbErr::Custom(format!("the webhook message {id} is of no known release")))?;
        Ok(Self {
            id,
            workspace: workspace_id,
            endpoint: endpoint_id,
            event_type,
            subject: subject_id,
            time,
            body,
        })
    }

    /// Returns its row.
    pub fn write(self) -> Model {
        let Self { id, workspace, endpoint, event_type, subject, time, body } = self;
        Model {
            id,
            workspace_id: workspace,
            endpoint_id: endpoint,
            event_type: event_type.number(),
            subject_id: subject,
            time,
            body,
        }
    }
}

/// Returns the id that receivers know a message by: `msg_0197f3c8a1b27c3d8e9f0a1b2c3d4e5f`.
pub fn told_id(id: MessageId) -> String {
    format!("msg_{}", id.0.simple())
}

/// Reads such an id; `None` for anything else.
pub fn parse_told_id(text: &str) -> Option<MessageId> {
    let id = Uuid::try_parse(text.strip_prefix("msg_")?).ok().map(MessageId)?;
    (told_id(id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_told() {
        let id = MessageId(Uuid::from_u128(0x0197_f3c8_a1b2_7c3d_8e9f_0a1b_2c3d_4e5f));
        assert_eq!(told_id(id), "msg_0197f3c8a1b27c3d8e9f0a1b2c3d4e5f");
        assert_eq!(parse_told_id(&told_id(id)), Some(id));
        for wrong in [
            "",
            "msg_",
            "0197f3c8a1b27c3d8e9f0a1b2c3d4e5f",
            "msg_0197f3c8-a1b2-7c3d-8e9f-0a1b2c3d4e5f",
            "msg_0197F3C8A1B27C3D8E9F0A1B2C3D4E5F",
        ] {
            assert_eq!(parse_told_id(wrong), None, "{wrong}");
        }
    }
}
