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

/// The events of the area. Those but the first are told by what is still to come: operations that make, suspend and
/// terminate instances, and backups.
pub const EVENTS: &[Event] = &[
    INSTANCE_FAILED,
    Event::quiet(
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
    ),
    Event::mandatory(
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
    ),
    Event::mandatory(
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
    ),
    Event::optional(
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
    ),
];
