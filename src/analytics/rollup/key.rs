//! Which row of `rollups` something is counted in. Pure.
//!
//! | scope | bundle | level | period | slots | what |
//! |---|---|---|---|---|---|
//! | workspace, project, app, domain | totals | day | days since 1970 | 0..96 | everything together, by quarter-hours |
//! | | places, devices, origins, links | hour | hours since 1970 | 0..4 | some dimensions each, by quarter-hours |
//! | | the same | day | days since 1970 | 0 | the same, day by day |
//! | | visitors | day | days since 1970 | | the sketch |
//! | link | whole | day | days since 1970 | 0..96 | all of these |
//!
//! Days are those of UTC; the slots make whole days of any zone from them.

use crate::{
    analytics::dims::Dimension,
    ids::{AppId, LinkId, ProjectId, WorkspaceId},
};

/// Quarter-hours of an hour, hours of a day, quarter-hours of a day.
pub const SLOTS_AN_HOUR: i32 = 4;
/// Hours of a day.
pub const HOURS_A_DAY: i32 = 24;
/// Quarter-hours of a day.
pub const SLOTS_A_DAY: i32 = SLOTS_AN_HOUR * HOURS_A_DAY;

/// A part of what happens in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of it.
    All,
    /// What has to do with the links of a project, as they were when it happened.
    Project(ProjectId),
    /// What has to do with a link.
    Link(LinkId),
    /// Installs and events of an app.
    App(AppId),
    /// What has to do with links on a host.
    Domain(String),
}

impl Part {
    /// Returns what it is called in the dictionary; nothing for all.
    pub fn text(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Project(id) => id.to_string(),
            Self::Link(id) => id.to_string(),
            Self::App(id) => id.to_string(),
            Self::Domain(host) => host.clone(),
        }
    }

    /// Returns what sort of part it is.
    pub fn scope(&self) -> Scoped {
        match self {
            Self::All => Scoped::Workspace,
            Self::Project(_) => Scoped::Project,
            Self::Link(_) => Scoped::Link,
            Self::App(_) => Scoped::App,
            Self::Domain(_) => Scoped::Domain,
        }
    }
}

/// The sorts of parts. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Scoped {
    /// A whole workspace.
    Workspace = 0,
    /// A project.
    Project = 1,
    /// A link.
    Link = 2,
    /// An app.
    App = 3,
    /// A host.
    Domain = 4,
}

/// What one row holds. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Bundle {
    /// Everything together.
    Totals = 0,
    /// Where visitors called from.
    Places = 1,
    /// What they called with, and what else has few values.
    Devices = 2,
    /// What brought them.
    Origins = 3,
    /// Links, and what has as many values.
    Links = 4,
    /// The sketch.
    Visitors = 5,
    /// All of it.
    Whole = 15,
}

impl Bundle {
    /// Returns the one that a dimension is in, but for links.
    pub fn of(dimension: Dimension) -> Self {
        use Dimension as D;
        match dimension {
            D::Country | D::Region | D::City => Self::Places,
            D::Referrer | D::UtmSource | D::UtmMedium | D::UtmCampaign | D::UtmTerm | D::UtmContent => {
                Self::Origins
            }
            D::Link | D::Rule | D::Variant | D::CampaignLink | D::CampaignAd => Self::Links,
            D::Device
            | D::System
            | D::SystemVersion
            | D::Browser
            | D::InAppBrowser
            | D::Language
            | D::Class
            | D::Destination
            | D::Domain
            | D::Platform
            | D::Project
            | D::Method
            | D::Event
            | D::App => Self::Devices,
        }
    }
}

/// How long a row's period is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Level {
    /// An hour.
    Hour = 0,
    /// A day.
    Day = 1,
}

/// A row. In the order of its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Of what sort of part.
    pub scope: Scoped,
    /// The code of the part.
    pub part: u32,
    /// What it holds.
    pub bundle: Bundle,
    /// How long its period is.
    pub level: Level,
    /// Which hour or day since 1970.
    pub period: i32,
}

impl Key {
    /// Returns the key of a row; `None` where it says something that is not known here.
    pub fn stored(row: &crate::entity::rollup::Model) -> Option<Self> {
        let scope = [Scoped::Workspace, Scoped::Project, Scoped::Link, Scoped::App, Scoped::Domain];
        let bundle = [
            Bundle::Totals,
            Bundle::Places,
            Bundle::Devices,
            Bundle::Origins,
            Bundle::Links,
            Bundle::Visitors,
            Bundle::Whole,
        ];
        Some(Self {
            workspace: row.workspace_id,
            scope: scope.into_iter().find(|one| *one as i16 == row.scope)?,
            part: row.part.cast_unsigned(),
            bundle: bundle.into_iter().find(|one| *one as i16 == row.bundle)?,
            level: [Level::Hour, Level::Day].into_iter().find(|one| *one as i16 == row.level)?,
            period: row.period,
        })
    }
}
