//! What compute tells: data that identity's registry of events is made of.

use identity::notifications::{Category, Event, Switch};

/// Something that was asked of an instance could not be done, and was taken back.
pub(crate) const INSTANCE_FAILED: Event = Event::optional(
    "instance.failed",
    Category::Compute,
    "Instance task failed",
    "Something that was asked of an instance could not be done.",
)
.told(
    Some(Switch::Instances),
    "Échec d’une tâche",
    "The task {task} of the instance {instance} of {organization} failed: {reason}",
    "La tâche {task} de l’instance {instance} de {organization} a échoué : {reason}",
);

/// An instance runs that was ordered.
pub(crate) const INSTANCE_CREATED: Event = Event::quiet(
    "instance.created",
    Category::Compute,
    "Instance created",
    "A new instance is ready.",
)
.told(
    Some(Switch::Instances),
    "Instance créée",
    "The instance {instance} of {organization} is ready.",
    "L’instance {instance} de {organization} est prête.",
);

/// An invoice was not paid in time.
pub(crate) const INSTANCE_SUSPENDED: Event = Event::mandatory(
    "instance.suspended",
    Category::Compute,
    "Instance suspended",
    "An instance was suspended.",
)
.told(
    Some(Switch::Instances),
    "Instance suspendue",
    "The instance {instance} of {organization} is suspended.",
    "L’instance {instance} de {organization} est suspendue.",
);

/// Its time is over, or its order has come to nothing.
pub(crate) const INSTANCE_TERMINATED: Event = Event::mandatory(
    "instance.terminated",
    Category::Compute,
    "Instance terminated",
    "An instance was terminated with its data.",
)
.told(
    Some(Switch::Instances),
    "Instance supprimée",
    "The instance {instance} of {organization} was terminated with its data.",
    "L’instance {instance} de {organization} a été supprimée avec ses données.",
);

/// A backup could not be made.
pub(crate) const BACKUP_FAILED: Event = Event::optional(
    "backup.failed",
    Category::Compute,
    "Backup failed",
    "A backup could not be made.",
)
.told(
    Some(Switch::Backups),
    "Échec d’une sauvegarde",
    "A backup of {instance} of {organization} could not be made: {reason}",
    "Une sauvegarde de {instance} de {organization} a échoué : {reason}",
);

/// The events of the area.
pub const EVENTS: &[Event] = &[
    INSTANCE_FAILED,
    INSTANCE_CREATED,
    INSTANCE_SUSPENDED,
    INSTANCE_TERMINATED,
    BACKUP_FAILED,
];
