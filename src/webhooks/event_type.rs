//! What somebody can be told of. Pure.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A link was made.
    LinkCreated,
    /// A link was changed.
    LinkUpdated,
    /// A link was deleted.
    LinkDeleted,
    /// A link was followed.
    ClickRecorded,
    /// An install was credited to a link.
    InstallAttributed,
    /// An install was credited to none.
    InstallOrganic,
    /// The system opened an app for a link, without a redirect.
    OpenRecorded,
    /// An app told of something that happened in it.
    EventRecorded,
    /// The same, where it earned something that no other event earned before.
    RevenueRecorded,
    /// A domain was found to be the workspace's.
    DomainVerified,
    /// An API key ends soon.
    ApiKeyExpiring,
    /// An endpoint is told nothing any more.
    WebhookEndpointDisabled,
    /// Somebody wanted to see what comes. Told to whoever was asked about, and never subscribed to.
    TestSent,
    /// Apple said that an ad brought a user.
    PostbackReceived,
}

/// Where what is told comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The feed.
    Feed,
    /// The outbox.
    Outbox,
    /// Nowhere: it is made up.
    Nothing,
}

impl EventType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::LinkCreated,
        Self::LinkUpdated,
        Self::LinkDeleted,
        Self::ClickRecorded,
        Self::InstallAttributed,
        Self::InstallOrganic,
        Self::OpenRecorded,
        Self::EventRecorded,
        Self::RevenueRecorded,
        Self::DomainVerified,
        Self::ApiKeyExpiring,
        Self::WebhookEndpointDisabled,
        Self::TestSent,
        Self::PostbackReceived,
    ];

    /// Returns its number, which is stored.
    pub const fn number(self) -> i16 {
        match self {
            Self::LinkCreated => 1,
            Self::LinkUpdated => 2,
            Self::LinkDeleted => 3,
            Self::ClickRecorded => 4,
            Self::InstallAttributed => 5,
            Self::InstallOrganic => 6,
            Self::OpenRecorded => 7,
            Self::EventRecorded => 8,
            Self::RevenueRecorded => 9,
            Self::DomainVerified => 10,
            Self::ApiKeyExpiring => 11,
            Self::WebhookEndpointDisabled => 12,
            Self::TestSent => 13,
            Self::PostbackReceived => 14,
        }
    }

    /// Returns the type that a number stands for; `None` for one that a later release made up.
    pub fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// Returns its name, which is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkCreated => "link.created",
            Self::LinkUpdated => "link.updated",
            Self::LinkDeleted => "link.deleted",
            Self::ClickRecorded => "click.recorded",
            Self::InstallAttributed => "install.attributed",
            Self::InstallOrganic => "install.organic",
            Self::OpenRecorded => "open.recorded",
            Self::EventRecorded => "event.recorded",
            Self::RevenueRecorded => "revenue.recorded",
            Self::DomainVerified => "domain.verified",
            Self::ApiKeyExpiring => "api_key.expiring",
            Self::WebhookEndpointDisabled => "webhook_endpoint.disabled",
            Self::TestSent => "test.sent",
            Self::PostbackReceived => "postback.received",
        }
    }

    /// Returns the type of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Returns where what is told of it comes from.
    pub const fn source(self) -> Source {
        match self {
            Self::ClickRecorded
            | Self::InstallAttributed
            | Self::InstallOrganic
            | Self::OpenRecorded
            | Self::EventRecorded
            | Self::RevenueRecorded => Source::Feed,
            Self::LinkCreated
            | Self::LinkUpdated
            | Self::LinkDeleted
            | Self::DomainVerified
            | Self::ApiKeyExpiring
            | Self::WebhookEndpointDisabled
            | Self::PostbackReceived => Source::Outbox,
            Self::TestSent => Source::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for (at, one) in EventType::ALL.into_iter().enumerate() {
            assert_eq!(one.number(), i16::try_from(at + 1).expect("few"));
            assert_eq!(EventType::of_number(one.number()), Some(one));
            assert_eq!(EventType::of_name(one.name()), Some(one));
        }
        assert_eq!((EventType::of_number(0), EventType::of_number(15)), (None, None));
        assert_eq!(EventType::of_name("click"), None);
    }
}
