//! Memory after the storms, and how soon a restarted server answers.

use anyhow::Result;

use crate::{
    onetd::Installation,
    options::Plan,
    report::{self, Goal, Limit, figure},
    scenarios::storms::Subject,
};

/// The memory that a server has in RAM after the storms.
pub(crate) fn memory(subject: &Subject) -> Result<Goal> {
    let (now, most) = subject.running.memory()?;
    let rows = [
        ["after the storms".to_owned(), figure(now)],
        ["at most".to_owned(), figure(most)],
    ];
    report::table("Memory of onetd on SQLite", ["", "MB in RAM"], rows);
    Ok(Goal::of(
        "memory on SQLite after the storms",
        Limit::Below(80.0),
        " MB",
        now,
    ))
}

/// The time from the start of the process to its first answer to an authenticated request.
pub(crate) fn starts(plan: &Plan, installation: &Installation) -> Result<Goal> {
    report::step("starts");
    let mut times = Vec::new();
    for _ in 0..plan.starts {
        let running = installation.serve()?;
        times.push(running.start.as_secs_f64() * 1000.0);
        running.stop()?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a file's size in MB")]
    let size = installation.size() as f64 / 1e6;
    let (least, most) = times.iter().fold((f64::MAX, 0.0_f64), |(least, most), time| {
        (least.min(*time), most.max(*time))
    });
    let title = format!(
        "Start to first answer on SQLite ({} MB), {} starts",
        figure(size),
        plan.starts
    );
    let row = [figure(report::median(&times)), figure(least), figure(most)];
    report::table(&title, ["median ms", "least", "most"], [row]);
    Ok(Goal::of(
        "start to first answer",
        Limit::Below(150.0),
        " ms",
        report::median(&times),
    ))
}
