//! Finding the graphics adapter to run on.

use crate::error::{Error, Result};

/// Which adapter to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterChoice {
    /// The first of: discrete, integrated, virtual, software.
    #[default]
    Fastest,
    /// An integrated adapter, else as [`AdapterChoice::Fastest`]. It uses less power.
    Frugal,
    /// The adapter at this index of [`adapters`]. Beyond the last and from 100 on, the first adapter
    /// whose name has this number, as `4090`.
    Index(usize),
    /// The first adapter whose name contains this, in any case.
    Named(String),
    /// A software adapter.
    Software,
}

impl std::str::FromStr for AdapterChoice {
    type Err = std::convert::Infallible;

    /// `fastest`, `frugal`, `software`, a number for an index, anything else for a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" | "fastest" => Self::Fastest,
            "frugal" => Self::Frugal,
            "software" => Self::Software,
            _ => match text.parse() {
                Ok(index) => Self::Index(index),
                Err(_) => Self::Named(text.to_owned()),
            },
        })
    }
}

pub(crate) fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        // wgpu validates the engine's calls. The validation layers of the backends only check wgpu itself.
        flags: wgpu::InstanceFlags::empty(),
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds::default(),
        backend_options: wgpu::BackendOptions::default(),
        display: None,
    })
}

/// The adapters of this machine, in the order of [`AdapterChoice::Index`]: the fastest kind first.
pub async fn adapters() -> Vec<wgpu::Adapter> {
    let mut found = instance().enumerate_adapters(wgpu::Backends::PRIMARY).await;
    found.sort_by_key(|adapter| speed_rank(adapter.get_info().device_type));
    found
}

/// [`adapters`], blocking.
#[cfg(not(target_arch = "wasm32"))]
pub fn adapters_blocking() -> Vec<wgpu::Adapter> {
    pollster::block_on(adapters())
}

fn speed_rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// The adapter of a choice, or an error that lists all adapters.
pub(crate) async fn choose(choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    // A browser cannot list adapters. It gives one per request.
    #[cfg(target_arch = "wasm32")]
    let mut all: Vec<wgpu::Adapter> = instance()
        .request_adapter(&wgpu::RequestAdapterOptions {
            power_preference: match choice {
                AdapterChoice::Frugal => wgpu::PowerPreference::LowPower,
                _ => wgpu::PowerPreference::HighPerformance,
            },
            ..Default::default()
        })
        .await
        .into_iter()
        .collect();
    #[cfg(not(target_arch = "wasm32"))]
    let mut all = adapters().await;

    let kind = |adapter: &wgpu::Adapter| adapter.get_info().device_type;
    let (place, wanted) = match choice {
        AdapterChoice::Fastest => ((!all.is_empty()).then_some(0), "is there; install a Vulkan driver".to_owned()),
        AdapterChoice::Frugal => {
            let integrated = all.iter().position(|a| kind(a) == wgpu::DeviceType::IntegratedGpu);
            (integrated.or((!all.is_empty()).then_some(0)), "is there; install a Vulkan driver".to_owned())
        }
        AdapterChoice::Index(index) => {
            // Of a larger number, as 4090, the user means the name.
            let numbered = |a: &wgpu::Adapter| {
                let name = a.get_info().name;
                name.split(|c: char| !c.is_ascii_digit()).any(|number| number == index.to_string())
            };
            let place = match *index {
                index if index < all.len() => Some(index),
                100.. => all.iter().position(numbered),
                _ => None,
            };
            (place, format!("has the number {index}"))
        }
        AdapterChoice::Named(name) => {
            let part = name.to_lowercase();
            let place = all.iter().position(|a| a.get_info().name.to_lowercase().contains(&part));
            (place, format!("is named {name:?}"))
        }
        AdapterChoice::Software => {
            (all.iter().position(|a| kind(a) == wgpu::DeviceType::Cpu), "is a software one".to_owned())
        }
    };
    match place {
        Some(place) => Ok(all.swap_remove(place)),
        None => {
            let names: Vec<String> = all.iter().map(|a| a.get_info().name).collect();
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(Error::NoAdapter { wanted, found })
        }
    }
}
