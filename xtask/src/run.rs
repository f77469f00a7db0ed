//! Running other programs, and telling of it.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;
use crate::screen::Screen;

const POLL: Duration = Duration::from_millis(20);
/// Ctrl-C in a terminal reaches the running program too; this is its time to end by itself before we ask it to.
const INTERRUPT_GRACE: Duration = Duration::from_secs(5);

/// Runs a program to its end with its output on our terminal, after having shown its command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    Screen::stderr().aside(&format!("$ {line}"));
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("can't run `{line}`"))?;
    let status = wait(&mut child).with_context(|| format!("can't wait for `{line}`"))?;
    interrupt::check()?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a program to its end and returns what it printed; what it says about its troubles is in the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run `{line}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let also = String::from_utf8_lossy(&output.stdout);
        bail!(
            "`{line}` failed ({}):\n{}{}",
            output.status,
            also,
            said.trim_end()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// Whether a program can be run with these arguments and succeeds: for probes, hence silent.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether a program of this name is in `PATH`.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Sends a signal by its name. The shell's builtin is used because minimal systems lack the program `kill`.
pub(crate) fn signal(child: &Child, name: &str) {
    signal_process(child.id(), name);
}

/// The same to a process that is not our child: a virtual machine.
pub(crate) fn signal_process(pid: u32, name: &str) {
    let pid = pid.to_string();
    // It can only fail when the process is gone, which the caller finds out by waiting for it.
    let _ = Command::new("sh")
        .args(["-c", r#"kill -s "$1" "$2" 2>/dev/null"#, "sh", name, &pid])
        .status();
}

/// Waits until `child` has ended or `limit` is over; `None` says that it still runs.
pub(crate) fn wait_at_most(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = wait_at_most(child, Duration::from_millis(200))? {
            return Ok(status);
        }
        if interrupt::requested() {
            break;
        }
    }
    if let Some(status) = wait_at_most(child, INTERRUPT_GRACE)? {
        return Ok(status);
    }
    signal(child, "TERM");
    if let Some(status) = wait_at_most(child, INTERRUPT_GRACE)? {
        return Ok(status);
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// The command line as one would type it, for reading.
fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    // `cargo` names itself by the long path of its toolchain.
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words = vec![program];
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        let plain = arg
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_=./:,+*@%".contains(c));
        words.push(if plain && !arg.is_empty() {
            arg.into_owned()
        } else {
            format!("'{arg}'")
        });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = capture(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c 'echo no luck >&2; exit 3'"), "{error}");
        assert!(
            error.contains("exit status: 3") && error.ends_with("no luck"),
            "{error}"
        );
    }

    #[test]
    fn a_running_child_is_not_waited_for_without_end() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait_at_most(&mut child, Duration::ZERO).unwrap().is_none());
        signal(&child, "TERM");
        assert!(
            wait_at_most(&mut child, Duration::from_secs(10))
                .unwrap()
                .is_some()
        );
    }
}
