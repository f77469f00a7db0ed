//! What is to be done about a machine: a pure function of what is wanted and what was seen.

use std::time::Duration;

use hypervisor::Ended;
use kernel::time::Time;

use crate::{instances::api::InstanceStatus, machines::Power};

/// What is known of a machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// Whether it should run.
    pub(super) wanted: Power,
    /// Where its instance stands.
    pub(super) status: InstanceStatus,
    /// What its host says.
    pub(super) seen: Seen,
    /// Whether the look before this one saw the same.
    pub(super) seen_before: bool,
    /// Whether a task of the instance is not over: then everything is that task's business.
    pub(super) is_busy: bool,
    /// How often it was started again already.
    pub(super) restarts: Restarts,
    /// When it was looked at.
    pub(super) now: Time,
}

/// What the host says of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Running,
    /// Held by the hypervisor, as it does when a disk can't be written.
    Paused,
    /// Off, and how it came to be so, if it ever ran.
    Off(Option<Ended>),
    /// The host knows nothing of it.
    Nothing,
}

/// How often a machine was started again, and how often it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Restarts {
    pub(super) count: i64,
    /// When the hour began in which they are counted.
    pub(super) since: Option<Time>,
    pub(super) last: Option<Time>,
    pub(super) most: i64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, or not yet.
    Nothing,
    /// Its process died: it is started again, for the `count`th time in the hour that began `since`.
    StartAgain { count: i64, since: Time },
    /// Its process died too often: it stays off until somebody starts it.
    GiveUp,
    /// Its own system switched it off: that is what is wanted from now on.
    StayOff,
    /// It runs, and should not.
    Stop,
    /// Operators must see to it.
    Tell(Trouble),
}

/// What onet can't mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A machine that should be there is not.
    Missing,
    /// A machine that should run is held.
    Paused,
}

/// What the restarts are counted in.
const HOUR: Duration = Duration::from_hours(1);
/// The wait before the second restart; each further one is three times as long.
const PAUSE: Duration = Duration::from_secs(10);

impl Restarts {
    /// Those of the present hour.
    fn present(self, now: Time) -> Self {
        match self.since {
            Some(since) if now < since + HOUR => self,
            _ => Self {
                count: 0,
                since: None,
                last: None,
                ..self
            },
        }
    }

    /// The next one; `None` while it has to wait.
    fn next(self, now: Time) -> Option<Verdict> {
        let present = self.present(now);
        if present.count >= present.most {
            return Some(Verdict::GiveUp);
        }
        let pause = match u32::try_from(present.count).unwrap_or(0) {
            0 => Duration::ZERO,
            count => PAUSE.saturating_mul(3_u32.saturating_pow(count - 1)),
        };
        let is_time = present.last.is_none_or(|last| now >= last + pause);
        is_time.then(|| Verdict::StartAgain {
            count: present.count + 1,
            since: present.since.unwrap_or(now),
        })
    }
}

/// What is to be done about it.
pub(super) fn decide(case: &Case) -> Verdict {
    if case.is_busy {
        return Verdict::Nothing;
    }
    let told_once = |trouble| {
        if case.seen_before {
            Verdict::Nothing
        } else {
            Verdict::Tell(trouble)
        }
    };
    match (case.wanted, case.status, case.seen) {
        (Power::On, InstanceStatus::Active, Seen::Off(Some(Ended::Orderly))) => Verdict::StayOff,
        (Power::On, InstanceStatus::Active, Seen::Off(_)) => {
            case.restarts.next(case.now).unwrap_or(Verdict::Nothing)
        }
        (Power::On, InstanceStatus::Active, Seen::Paused) => told_once(Trouble::Paused),
        (_, InstanceStatus::Active | InstanceStatus::Suspended, Seen::Nothing) => told_once(Trouble::Missing),
        // Seen once, it may be that somebody has just asked for it.
        (Power::Off, _, Seen::Running | Seen::Paused) if case.seen_before => Verdict::Stop,
        _ => Verdict::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn case() -> Case {
        Case {
            wanted: Power::On,
            status: InstanceStatus::Active,
            seen: Seen::Running,
            seen_before: true,
            is_busy: false,
            restarts: Restarts {
                most: 3,
                ..Restarts::default()
            },
            now: at(100_000),
        }
    }

    const CRASHED: Seen = Seen::Off(Some(Ended::Cut));
    const SWITCHED_OFF: Seen = Seen::Off(Some(Ended::Orderly));

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        assert_eq!(decide(&case()), Verdict::Nothing);
        for seen in [CRASHED, SWITCHED_OFF, Seen::Off(None)] {
            assert_eq!(
                decide(&Case {
                    wanted: Power::Off,
                    seen,
                    ..case()
                }),
                Verdict::Nothing
            );
        }
    }

    #[test]
    fn a_machine_under_a_task_is_that_task_s_business() {
        for seen in [
            Seen::Running,
            Seen::Paused,
            CRASHED,
            SWITCHED_OFF,
            Seen::Off(None),
            Seen::Nothing,
        ] {
            for wanted in [Power::On, Power::Off] {
                for seen_before in [true, false] {
                    let case = Case {
                        wanted,
                        seen,
                        seen_before,
                        is_busy: true,
                        ..case()
                    };
                    assert_eq!(decide(&case), Verdict::Nothing, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn what_died_is_started_again_and_what_switched_itself_off_is_not() {
        let first = Verdict::StartAgain {
            count: 1,
            since: at(100_000),
        };
        assert_eq!(
            decide(&Case {
                seen: CRASHED,
                ..case()
            }),
            first
        );
        assert_eq!(
            decide(&Case {
                seen: Seen::Off(None),
                ..case()
            }),
            first
        );
        assert_eq!(
            decide(&Case {
                seen: SWITCHED_OFF,
                ..case()
            }),
            Verdict::StayOff
        );
    }

    #[test]
    fn only_active_instances_are_started() {
        for status in InstanceStatus::ALL
            .iter()
            .filter(|status| **status != InstanceStatus::Active)
        {
            for seen in [CRASHED, SWITCHED_OFF] {
                assert_eq!(
                    decide(&Case {
                        status: *status,
                        seen,
                        ..case()
                    }),
                    Verdict::Nothing,
                    "{status:?}"
                );
            }
        }
    }

    #[test]
    fn restarts_pause_longer_each_time_and_end() {
        let restarts = |count, last| Restarts {
            count,
            since: Some(at(100_000)),
            last: Some(at(last)),
            most: 3,
        };
        let after = |restarts, now| {
            decide(&Case {
                seen: CRASHED,
                restarts,
                now: at(now),
                ..case()
            })
        };
        let again = |count| Verdict::StartAgain {
            count,
            since: at(100_000),
        };
        assert_eq!(after(restarts(1, 100_000), 100_009), Verdict::Nothing);
        assert_eq!(after(restarts(1, 100_000), 100_010), again(2));
        assert_eq!(after(restarts(2, 100_010), 100_039), Verdict::Nothing);
        assert_eq!(after(restarts(2, 100_010), 100_040), again(3));
        assert_eq!(after(restarts(3, 100_040), 100_041), Verdict::GiveUp);
        // Another hour, another chance.
        let first = Verdict::StartAgain {
            count: 1,
            since: at(103_600),
        };
        assert_eq!(after(restarts(3, 100_040), 103_600), first);
        let never = Restarts {
            most: 0,
            ..Restarts::default()
        };
        assert_eq!(after(never, 100_000), Verdict::GiveUp);
    }

    #[test]
    fn what_runs_unasked_is_stopped_when_seen_twice() {
        for seen in [Seen::Running, Seen::Paused] {
            let case = Case {
                wanted: Power::Off,
                status: InstanceStatus::Suspended,
                seen,
                ..case()
            };
            assert_eq!(decide(&case), Verdict::Stop);
            assert_eq!(
                decide(&Case {
                    seen_before: false,
                    ..case
                }),
                Verdict::Nothing
            );
        }
    }

    #[test]
    fn what_onet_can_not_mend_is_told_once() {
        for (seen, trouble) in [(Seen::Nothing, Trouble::Missing), (Seen::Paused, Trouble::Paused)] {
            let case = Case {
                seen,
                seen_before: false,
                ..case()
            };
            assert_eq!(decide(&case), Verdict::Tell(trouble));
            assert_eq!(
                decide(&Case {
                    seen_before: true,
                    ..case
                }),
                Verdict::Nothing
            );
        }
        let ordered = Case {
            status: InstanceStatus::Pending,
            seen: Seen::Nothing,
            seen_before: false,
            ..case()
        };
        assert_eq!(decide(&ordered), Verdict::Nothing);
    }
}
