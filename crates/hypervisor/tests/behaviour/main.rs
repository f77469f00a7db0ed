//! What every implementation of `Hypervisor` does, and what only QEMU has to show.
//!
//! The suite needs QEMU, qemu-utils, nftables, iproute2 and what builds the demo image; `cargo xtask test` installs
//! them. Machines of different tests never run at the same time: a lock on a file of the target folder sees to it.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod bench;
mod bridge;
mod client;
mod copies;
mod faults;
mod host;
mod images;
mod life;

use self::bench::{DoubleBench, QemuBench};

mod double {
    use super::*;

    #[tokio::test]
    async fn a_machine_s_life() {
        life::whole(&DoubleBench::new().await).await;
    }

    #[tokio::test]
    async fn an_image_of_a_disk() {
        life::copied(&DoubleBench::new().await).await;
    }

    #[tokio::test]
    async fn copies_of_a_disk() {
        copies::whole(&DoubleBench::new().await).await;
    }

    #[tokio::test]
    async fn refusals() {
        life::refusals(&DoubleBench::new().await).await;
    }

    #[tokio::test]
    async fn a_system_that_looks_away() {
        life::looks_away(&DoubleBench::new().await).await;
    }
}

mod sandbox {
    use super::*;

    #[tokio::test]
    async fn a_machine_s_life() {
        life::whole(&DoubleBench::kept().await).await;
    }

    #[tokio::test]
    async fn an_image_of_a_disk() {
        life::copied(&DoubleBench::kept().await).await;
    }

    #[tokio::test]
    async fn copies_of_a_disk() {
        copies::whole(&DoubleBench::kept().await).await;
    }
}

mod qemu {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_machine_s_life() {
        life::whole(&QemuBench::new().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_image_of_a_disk() {
        life::copied(&QemuBench::new().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn copies_of_a_disk() {
        copies::whole(&QemuBench::new().await).await;
    }

    #[tokio::test]
    async fn refusals() {
        life::refusals(&QemuBench::new().await).await;
    }

    #[tokio::test]
    async fn a_system_that_looks_away() {
        life::looks_away(&QemuBench::new().await).await;
    }
}
