//! A kernel as a validated module.

use std::collections::BTreeSet;

use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, EntryPoint, Module};

use super::cost::{self, Cost};
use super::target::{self, Target};
use super::{Feature, feature};
use crate::error::{Error, Result};

/// A validated module with one entry point.
pub struct Shader {
    pub(super) name: String,
    pub(super) module: Module,
    pub(super) info: ModuleInfo,
    pub(super) features: BTreeSet<Feature>,
}

impl Shader {
    /// Reads WGSL; `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not valid WGSL, uses something that no [`Feature`] stands for, or has not one entry point.
    pub fn parse(name: &str, source: &str) -> Result<Self> {
        let invalid = |what: String| Error::invalid(format!("kernel {name}"), what);
        let module = naga::front::wgsl::parse_str(source).map_err(|e| invalid(e.emit_to_string(source)))?;
        // Features are known from types of expressions, which validation yields. So everything is allowed at first, and what has
        // a feature after that.
        let info = validate(&module, source, Capabilities::all()).map_err(invalid)?;
        let features = feature::of_module(&module, &info);
        // `unpack2x16float` and its kin belong to plain WGSL.
        let plain = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let allowed = features.iter().fold(plain, |all, feature| all | feature.capabilities());
        let info = validate(&module, source, allowed).map_err(invalid)?;
        match module.entry_points.len() {
            1 => Ok(Shader { name: name.into(), module, info, features }),
            n => Err(invalid(format!("it has {n} entry points"))),
        }
    }

    fn entry(&self) -> &EntryPoint {
        &self.module.entry_points[0]
    }

    /// What it needs of a device's shading language.
    pub fn features(&self) -> &BTreeSet<Feature> {
        &self.features
    }

    /// Invocations of a workgroup in x, y and z.
    pub fn workgroup_size(&self) -> [u32; 3] {
        self.entry().workgroup_size
    }

    /// Bytes of workgroup memory, as WebGPU counts them: each variable that the entry point reaches, rounded up to 16.
    pub fn workgroup_bytes(&self) -> u32 {
        let shared = self.used(|space| space == AddressSpace::WorkGroup);
        let bytes = |variable: &naga::GlobalVariable| self.module.types[variable.ty].inner.size(self.module.to_ctx());
        shared.fold(0u32, |sum, variable| sum.saturating_add(bytes(variable).next_multiple_of(16)))
    }

    /// Storage buffers that its entry point reaches.
    pub fn storage_buffers(&self) -> u32 {
        self.used(|space| matches!(space, AddressSpace::Storage { .. })).count() as u32
    }

    fn used(&self, wanted: impl Fn(AddressSpace) -> bool) -> impl Iterator<Item = &naga::GlobalVariable> {
        let info = self.info.get_entry_point(0);
        let used = move |handle| info[handle] != GlobalUse::empty();
        let variables = self.module.global_variables.iter();
        variables.filter(move |(handle, variable)| wanted(variable.space) && used(*handle)).map(|(_, variable)| variable)
    }

    /// What an invocation does.
    pub fn cost(&self) -> Cost {
        cost::of(&self.module, &self.info)
    }

    /// Translates it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming kernel, language and what cannot be said in it.
    pub fn translate(&self, target: Target) -> Result<Vec<u8>> {
        target::translate(self, target)
    }
}

/// Validates with these capabilities; what is wrong is shown with its place in the source.
fn validate(module: &Module, source: &str, allowed: Capabilities) -> Result<ModuleInfo, String> {
    let mut validator = Validator::new(ValidationFlags::all(), allowed);
    let subgroups = allowed.contains(Capabilities::SUBGROUP);
    let operations = if subgroups { SubgroupOperationSet::all() } else { SubgroupOperationSet::empty() };
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(operations);
    validator.validate(module).map_err(|e| e.emit_to_string(source))
}
