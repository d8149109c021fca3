//! Reads from a linked variant what the host must know of it.

use std::collections::BTreeMap;

use naga::{AddressSpace, Expression, Handle, Literal, Module, ScalarKind, StorageAccess, Type, TypeInner};

/// A field of a uniform.
pub(crate) type Field = (String, Kind);

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    U32,
    F32,
    /// `array<vec4<u32>, N>`.
    Quads(u32),
}

impl Kind {
    /// Words that it takes.
    pub(crate) fn words(self) -> usize {
        match self {
            Self::U32 | Self::F32 => 1,
            Self::Quads(count) => 4 * count as usize,
        }
    }
}

impl std::fmt::Display for Kind {
    /// The Rust type.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::U32 => f.write_str("u32"),
            Self::F32 => f.write_str("f32"),
            Self::Quads(count) => write!(f, "[[u32; 4]; {count}]"),
        }
    }
}

/// What the variants of a kernel have in common.
#[derive(Clone, Debug)]
pub(crate) struct Reflection {
    /// Fields of the step's uniform, if the kernel reads it.
    pub(crate) step: Option<Vec<Field>>,
    /// Fields of `Params`. Empty where the kernel has none.
    pub(crate) params: Vec<Field>,
    /// Storage bindings: slot, name, whether the kernel writes it.
    pub(crate) storage: Vec<(u32, String, bool)>,
    /// Constants of type u32 by name; `None` where variants have different values.
    pub(crate) constants: BTreeMap<String, Option<u32>>,
}

impl Reflection {
    /// Adds another variant of the same kernel.
    pub(crate) fn merge(&mut self, other: Self, kernel: &str) {
        assert!(
            (&self.params, &self.storage) == (&other.params, &other.storage),
            "{kernel}: variants differ in their bindings:\n{self:?}\n{other:?}"
        );
        for (name, value) in other.constants {
            let first = self.constants.entry(name).or_insert(value);
            if *first != value {
                *first = None;
            }
        }
    }
}

/// What a variant has in common with the others of its kernel, and its own bytes of workgroup memory, without arrays that are
/// sized by an override.
pub(crate) fn reflect(module: &Module, kernel: &str) -> (Reflection, u32) {
    let mut reflection = Reflection { step: None, params: Vec::new(), storage: Vec::new(), constants: BTreeMap::new() };
    let mut workgroup_bytes = 0;
    for (_, global) in module.global_variables.iter() {
        let ty = &module.types[global.ty].inner;
        // naga would count an array that is sized by an override with the override's default.
        let is_sized_later = matches!(ty, TypeInner::Array { size: naga::ArraySize::Pending(_), .. });
        if global.space == AddressSpace::WorkGroup && !is_sized_later {
            workgroup_bytes += ty.size(module.to_ctx());
        }
        let Some(binding) = &global.binding else { continue };
        assert!(binding.group == 0, "{kernel}: only group 0 is used");
        let name = global.name.clone().expect("bindings have names");
        match (global.space, binding.binding) {
            (AddressSpace::Uniform, 0) => reflection.step = Some(fields(module, global.ty, kernel)),
            (AddressSpace::Uniform, 1) => reflection.params = fields(module, global.ty, kernel),
            (AddressSpace::Storage { access }, slot) => {
                reflection.storage.push((slot, name, access.contains(StorageAccess::STORE)));
            }
            other => panic!("{kernel}: unexpected binding {other:?}"),
        }
    }
    reflection.storage.sort();
    assert!(reflection.storage.len() <= 8, "{kernel}: WebGPU promises 8 storage buffers");
    for (_, constant) in module.constants.iter() {
        if let Expression::Literal(Literal::U32(value)) = module.global_expressions[constant.init] {
            reflection.constants.extend(constant.name.clone().map(|name| (name, Some(value))));
        }
    }
    let [main] = &module.entry_points[..] else { panic!("{kernel}: one entry point") };
    assert!(matches!(main.workgroup_size, [_, 1, 1]), "{kernel}: workgroups are one-dimensional");
    (reflection, workgroup_bytes)
}

/// The fields of a uniform, which are words without gaps.
fn fields(module: &Module, ty: Handle<Type>, kernel: &str) -> Vec<Field> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { panic!("{kernel}: a uniform is a struct") };
    let is = |ty: Handle<Type>, kind| match module.types[ty].inner {
        TypeInner::Scalar(scalar) => scalar.kind == kind && scalar.width == 4,
        TypeInner::Vector { size: naga::VectorSize::Quad, scalar } => scalar.kind == kind && scalar.width == 4,
        _ => false,
    };
    let mut words = 0;
    let field = |member: &naga::StructMember| {
        let kind = match module.types[member.ty].inner {
            TypeInner::Scalar(_) if is(member.ty, ScalarKind::Uint) => Kind::U32,
            TypeInner::Scalar(_) if is(member.ty, ScalarKind::Float) => Kind::F32,
            TypeInner::Array { base, size: naga::ArraySize::Constant(count), stride: 16 }
                if is(base, ScalarKind::Uint) =>
            {
                Kind::Quads(count.get())
            }
            _ => panic!("{kernel}: uniforms hold u32, f32 and arrays of vec4<u32>"),
        };
        assert!(member.offset == 4 * words as u32, "{kernel}: uniforms are packed");
        words += kind.words();
        (member.name.clone().expect("members have names"), kind)
    };
    members.iter().map(field).collect()
}
