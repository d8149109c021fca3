//! Tests choosing a device, sharing one, and errors without one.

use lapidary_engine::gpu::{AdapterChoice, DeviceOptions, adapters};
use lapidary_engine::{Error, Gpu, wgpu};
use lapidary_tests::block_on;

fn with_adapter(adapter: AdapterChoice) -> DeviceOptions {
    let mut options = DeviceOptions::from_env();
    options.adapter = adapter;
    options
}

#[test]
fn adapters_are_chosen_by_number_and_by_name() {
    let all = block_on(adapters());
    for (index, adapter) in all.iter().enumerate() {
        let gpu = block_on(Gpu::open(&with_adapter(AdapterChoice::Index(index)))).unwrap();
        assert_eq!(gpu.info().name, adapter.get_info().name);
    }
    let name = all[0].get_info().name.to_uppercase();
    let gpu = block_on(Gpu::open(&with_adapter(AdapterChoice::Named(name.clone())))).unwrap();
    assert_eq!(gpu.info().name.to_uppercase(), name);
    // Of a number in a name, as `4090`, the user means the name.
    let numbers = name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<usize>().ok());
    for number in numbers.filter(|number| *number >= 100) {
        let gpu = block_on(Gpu::open(&with_adapter(AdapterChoice::Index(number)))).unwrap();
        assert!(gpu.info().name.contains(&number.to_string()));
    }
    assert!(block_on(Gpu::open(&with_adapter(AdapterChoice::Index(all.len())))).is_err());
}

#[test]
fn an_adapter_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let all = block_on(adapters());
    for choice in [AdapterChoice::Index(99), AdapterChoice::Named("Voodoo 2".into())] {
        let error = block_on(Gpu::open(&with_adapter(choice))).unwrap_err();
        assert!(matches!(error, Error::NoAdapter { .. }));
        assert!(error.to_string().contains(&all[0].get_info().name), "{error}");
    }
}

#[test]
fn webgpu_limits_request_nothing_more() {
    let mut options = DeviceOptions::from_env();
    options.webgpu_limits = true;
    let gpu = block_on(Gpu::open(&options)).unwrap();
    assert!(!gpu.capabilities().subgroups);
    // SAFETY: no shader is made.
    assert_eq!(unsafe { gpu.wgpu_device() }.limits(), wgpu::Limits::default());
}

#[test]
fn a_device_that_tells_its_memory_has_some() {
    let gpu = block_on(Gpu::open(&DeviceOptions::from_env())).unwrap();
    match gpu.memory_bytes() {
        Some(bytes) => assert!((64 << 20..64 << 40).contains(&bytes), "{bytes}"),
        None => assert_ne!(gpu.info().backend, wgpu::Backend::Vulkan),
    }
}
