//! Named points at which tests end or disturb the process.
//!
//! `ONET_CRASH_AT=name:n` aborts the process when the point `name` is passed for the `n`th time (from 1): as hard
//! as a power cut, with no destructor run. Tests in the same process can instead make a point fail with
//! [`fail_at`]. Without either, a point costs one relaxed atomic load.

use std::{
    collections::HashMap,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Clone, Copy)]
enum Effect {
    Abort,
    Fail,
}

struct Plan {
    passes_left: u32,
    effect: Effect,
}

static ARMED: AtomicBool = AtomicBool::new(false);

fn plans() -> &'static Mutex<HashMap<String, Plan>> {
    static PLANS: OnceLock<Mutex<HashMap<String, Plan>>> = OnceLock::new();
    PLANS.get_or_init(Mutex::default)
}

fn plan(name: &str, count: u32, effect: Effect) {
    if let Ok(mut plans) = plans().lock() {
        plans.insert(
            name.to_owned(),
            Plan {
                passes_left: count.max(1),
                effect,
            },
        );
        ARMED.store(true, Ordering::Release);
    }
}

/// Reads the plan `name:n` that a test gave by `ONET_CRASH_AT`.
pub fn arm(plan_text: &str) {
    let (name, count) = plan_text.rsplit_once(':').unwrap_or((plan_text, "1"));
    plan(name, count.parse().unwrap_or(1), Effect::Abort);
}

/// Makes the point `name` answer `true` once, at its `count`th pass from now.
pub fn fail_at(name: &str, count: u32) {
    plan(name, count, Effect::Fail);
}

/// Passes the point `name`. `true` means that a test wants this step to fail here.
pub fn point(name: &str) -> bool {
    if !ARMED.load(Ordering::Acquire) {
        return false;
    }
    let Ok(mut plans) = plans().lock() else {
        return false;
    };
    let Some(plan) = plans.get_mut(name) else {
        return false;
    };
    plan.passes_left = plan.passes_left.saturating_sub(1);
    if plan.passes_left > 0 {
        return false;
    }
    let effect = plan.effect;
    plans.remove(name);
    match effect {
        Effect::Abort => std::process::abort(),
        Effect::Fail => true,
    }
}
