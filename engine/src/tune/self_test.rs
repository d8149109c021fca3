//! A test of the kernels at the first start on a device: whether it computes what they rely on.
//!
//! Kernels with subgroups rely on full subgroups of neighbouring invocations, which WebGPU does not promise, and those on
//! cooperative matrices on an experimental feature. Software adapters cannot show what a GPU's driver does there. So the kernels
//! of a layer of noise are compared with their references, and a feature whose kernels are wrong is not used. This covers
//! attention, norms, products, and the choice of a token. The result is remembered per driver and version of the kernels.

use std::path::Path;

use super::remembered::{device_key, recall, remember};
use super::subnormals::flushes_subnormals;
use crate::check::{Report, check_features};
use crate::error::{Error, Result};
use crate::gpu::{Capabilities, Gpu};

/// The features in the file of results.
const SUBGROUPS: &str = "subgroups";
const MATRICES: &str = "matrices";
const SUBNORMALS: &str = "f16";

/// The device with those of its features whose kernels are right. Results are kept in a file in `folder`, unless kernels without
/// such features are wrong too.
///
/// Software adapters are not tested, because the tests of the kernels run on them. In browsers without subgroups only the
/// conversion of f16 is.
///
/// # Errors
/// If the device is lost, out of memory or refuses a kernel that relies on no such feature.
pub(crate) async fn tested(gpu: Gpu, folder: Option<&Path>) -> Result<Gpu> {
    if gpu.capabilities().software {
        return Ok(gpu);
    }
    if let Some(capabilities) = gpu.inner.tested.get() {
        return Ok(gpu.with_capabilities(capabilities.clone()));
    }
    let key = format!("self-test | {}", device_key(&gpu));
    let known = recall(folder, &key, |names| restricted(gpu.capabilities(), names)).await;
    let capabilities = match known {
        Some(capabilities) => capabilities,
        None => {
            let (capabilities, all_right) = run(&gpu).await?;
            if all_right {
                remember(folder, &key, &names(&capabilities)).await;
            }
            capabilities
        }
    };
    if capabilities != *gpu.capabilities() {
        log::info!("the self-test of {} left these features:{}", gpu.info().name, names(&capabilities));
    }
    // Another thread may have tested it meanwhile, with the same result.
    Ok(gpu.with_capabilities(gpu.inner.tested.get_or_init(|| capabilities).clone()))
}

/// The capabilities that are left after kernels were compared, and whether all kernels are right with them.
async fn run(gpu: &Gpu) -> Result<(Capabilities, bool)> {
    let flushes_subnormals = flushes_subnormals(gpu).await?;
    let mut capabilities = Capabilities { flushes_subnormals, ..gpu.capabilities().clone() };
    // What is left is in every browser, and references take long in one.
    if cfg!(target_arch = "wasm32") && capabilities.without_a_feature().is_none() {
        return Ok((capabilities, true));
    }
    loop {
        let (problem, fewer) = match check_features(&gpu.with_capabilities(capabilities.clone())).await {
            Ok(Report { fault: None, .. }) => return Ok((capabilities, true)),
            Ok(Report { fault: Some(fault), .. }) => {
                (fault.to_string(), capabilities.without_feature_of(fault.variant))
            }
            Err(error) => match capabilities.without_a_feature() {
                Some(fewer) if matches!(error, Error::Gpu { .. } | Error::Internal { .. }) => {
                    (error.to_string(), Some(fewer))
                }
                _ => return Err(error),
            },
        };
        let name = &gpu.info().name;
        match fewer {
            Some(fewer) => {
                log::warn!("a kernel does not work on {name}, so its feature is not used:\n{problem}");
                capabilities = fewer;
            }
            None => {
                log::warn!(
                    "a kernel computes wrongly on {name}, so replies may be wrong; please report it:\n{problem}"
                );
                return Ok((capabilities, false));
            }
        }
    }
}

/// The features that the kernels use, for the file of results.
fn names(capabilities: &Capabilities) -> String {
    let mut names = String::new();
    if capabilities.subgroups {
        names.push_str(&format!("\t{SUBGROUPS}"));
    }
    if capabilities.cooperative_size.is_some() {
        names.push_str(&format!("\t{MATRICES}"));
    }
    if !capabilities.flushes_subnormals {
        names.push_str(&format!("\t{SUBNORMALS}"));
    }
    names
}

/// The capabilities with no other features than those named; `None` if a name is unknown.
fn restricted(capabilities: &Capabilities, names: &str) -> Option<Capabilities> {
    let names: Vec<&str> = names.split('\t').skip(1).collect();
    names.iter().all(|name| [SUBGROUPS, MATRICES, SUBNORMALS].contains(name)).then(|| Capabilities {
        flushes_subnormals: !names.contains(&SUBNORMALS),
        subgroups: capabilities.subgroups && names.contains(&SUBGROUPS),
        cooperative_size: capabilities.cooperative_size.filter(|_| names.contains(&MATRICES)),
        ..capabilities.clone()
    })
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::gpu::DeviceOptions;

    /// The software adapter, which passes for a GPU.
    fn gpu() -> Gpu {
        let options = DeviceOptions { hardware_kernels: true, ..DeviceOptions::from_env() };
        block_on(Gpu::open(&options)).unwrap()
    }

    #[test]
    fn a_device_that_computes_right_keeps_its_features_and_is_tested_once() {
        let folder = tempfile::tempdir().unwrap();
        let gpu = gpu();
        let tested_gpu = block_on(tested(gpu.clone(), Some(folder.path()))).unwrap();
        assert_eq!(tested_gpu.capabilities(), gpu.capabilities());
        let submits = gpu.submits();
        assert!(submits > 0, "nothing was tested");
        block_on(tested(gpu.clone(), None)).unwrap();
        assert_eq!(gpu.submits(), submits, "the open device was tested again");
        let again = self::gpu();
        let from_file = block_on(tested(again.clone(), Some(folder.path()))).unwrap();
        assert_eq!(again.submits(), 0, "the result was not remembered");
        assert_eq!(from_file.capabilities(), gpu.capabilities());
    }

    /// Lavapipe makes subgroups as wide as its vectors, whose width a variable sets when the driver is loaded. So the test runs
    /// itself again. Kernels need at least eight lanes and would not use subgroups of four, were the capabilities true.
    #[test]
    fn subgroups_that_kernels_compute_wrongly_in_are_not_used() {
        const WIDTH: &str = "LP_NATIVE_VECTOR_WIDTH";
        if std::env::var(WIDTH).as_deref() != Ok("128") {
            let name = "tune::self_test::tests::subgroups_that_kernels_compute_wrongly_in_are_not_used";
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", name, "--nocapture"]).env(WIDTH, "128").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
            return;
        }
        let gpu = gpu();
        if gpu.info().subgroup_max_size >= 8 {
            eprintln!("SKIPPED: this adapter has no narrow subgroups");
            return;
        }
        assert!(!gpu.capabilities().subgroups);
        let wrong = Capabilities { subgroups: true, narrow_subgroups: true, ..gpu.capabilities().clone() };
        let left = block_on(tested(gpu.with_capabilities(wrong.clone()), None)).unwrap();
        assert_eq!(*left.capabilities(), Capabilities { subgroups: false, ..wrong });
    }

    #[test]
    fn software_adapters_are_not_tested() {
        let mut capabilities = gpu().capabilities().clone();
        capabilities.software = true;
        let gpu = gpu().with_capabilities(capabilities);
        block_on(tested(gpu.clone(), None)).unwrap();
        assert_eq!(gpu.submits(), 0);
    }

    #[test]
    fn a_wrong_kernel_costs_only_the_feature_that_it_relies_on() {
        let all = Capabilities { subgroups: true, cooperative_size: Some(16), ..Capabilities::webgpu() };
        let without = |variant| all.without_feature_of(variant).map(|left| names(&left));
        assert_eq!(without("matmul_coop.q4_k.coop_16").as_deref(), Some("\tsubgroups\tf16"));
        assert_eq!(without("attention_coop.coop_8.subgroups").as_deref(), Some("\tsubgroups\tf16"));
        assert_eq!(without("rms_norm.subgroups").as_deref(), Some("\tmatrices\tf16"));
        assert_eq!(without("rms_norm"), None);
        let none = Capabilities::webgpu();
        assert_eq!(none.without_feature_of("rms_norm.subgroups"), None);
        // A driver that refuses a kernel does not say which feature it lacks.
        let fewer = all.without_a_feature().unwrap();
        assert_eq!(names(&fewer), "\tsubgroups\tf16");
        assert_eq!(fewer.without_a_feature().as_ref(), Some(&none));
        assert_eq!(none.without_a_feature(), None);
        for capabilities in [all.clone(), none] {
            assert_eq!(restricted(&all, &names(&capabilities)), Some(capabilities));
        }
        assert_eq!(restricted(&all, "\tsubgroups\tother"), None);
    }
}
