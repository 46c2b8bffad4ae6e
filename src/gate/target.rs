//! Translation into the languages that drivers take.

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::BoundsCheckPolicies;
use naga::{AddressSpace, ShaderStage};

use super::{Feature, Shader};
use crate::error::{Error, Result};

/// A language that drivers take, in the version that the least of them takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// SPIR-V 1.3, for Vulkan 1.1.
    Spirv,
    /// The Metal Shading Language 2.4.
    Msl,
    /// HLSL for shader model 6.0, or the one that first has what a kernel uses.
    Hlsl,
    /// GLSL ES 3.10.
    GlslEs,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 4] = [Target::Spirv, Target::Msl, Target::Hlsl, Target::GlslEs];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Target::Spirv => "spirv",
            Target::Msl => "msl",
            Target::Hlsl => "hlsl",
            Target::GlslEs => "glsl-es",
        }
    }

    /// What files in it are called.
    pub fn extension(self) -> &'static str {
        match self {
            Target::Spirv => "spv",
            Target::Msl => "metal",
            Target::Hlsl => "hlsl",
            Target::GlslEs => "comp",
        }
    }

    /// Why a feature cannot be said in it, where it cannot.
    pub fn lacks(self, feature: Feature) -> Option<&'static str> {
        match (self, feature) {
            (Target::GlslEs, Feature::F16) => Some("GLSL ES has no 16-bit floats in core"),
            (Target::GlslEs, Feature::I16) => Some("GLSL ES has no 16-bit integers in core"),
            (Target::GlslEs, Feature::I64) => Some("GLSL ES has no 64-bit integers in core"),
            (Target::GlslEs, Feature::CooperativeMatrix) => Some("GLSL ES has no cooperative matrices"),
            (Target::Hlsl, Feature::CooperativeMatrix) => Some("naga writes no cooperative matrices in HLSL"),
            _ => None,
        }
    }
}

/// Translates a kernel as release builds do: without checks of bounds or of loops, and without clearing workgroup memory.
///
/// # Errors
/// [`Error::Unsupported`] naming kernel, language and what cannot be said in it.
pub(super) fn translate(shader: &Shader, target: Target) -> Result<Vec<u8>> {
    let bytes = match target {
        Target::Spirv => spirv(shader),
        Target::Msl => msl(shader),
        Target::Hlsl => hlsl(shader),
        Target::GlslEs => glsl_es(shader),
    };
    bytes.map_err(|what| Error::Unsupported(format!("{} in {}: {what}", shader.name, target.name())))
}

fn spirv(shader: &Shader) -> Result<Vec<u8>, String> {
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..Default::default()
    };
    let words = spv::write_vec(&shader.module, &shader.info, &options, None).map_err(|e| e.to_string())?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn msl(shader: &Shader) -> Result<Vec<u8>, String> {
    let options = msl::Options {
        lang_version: (2, 4),
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions::default();
    let (text, info) = msl::write_string(&shader.module, &shader.info, &options, &pipeline).map_err(|e| e.to_string())?;
    info.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

fn hlsl(shader: &Shader) -> Result<Vec<u8>, String> {
    let needs_16_bits = shader.features.contains(&Feature::F16) || shader.features.contains(&Feature::I16);
    let options = hlsl::Options {
        shader_model: if needs_16_bits { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V6_0 },
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        restrict_indexing: false,
        ..Default::default()
    };
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&shader.module, &shader.info, None);
    let names = written.map_err(|e| e.to_string())?.entry_point_names;
    names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

fn glsl_es(shader: &Shader) -> Result<Vec<u8>, String> {
    let mut options = glsl::Options {
        version: glsl::Version::new_gles(310),
        writer_flags: glsl::WriterFlags::empty(),
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    // GLSL ES counts storage and uniform buffers apart, and knows no groups.
    let (mut storage, mut uniform) = (0, 0);
    for (_, variable) in shader.module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        let count = if variable.space == AddressSpace::Uniform { &mut uniform } else { &mut storage };
        options.binding_map.insert(binding, *count);
        *count += 1;
    }
    let pipeline = glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    let mut text = String::new();
    let policies = BoundsCheckPolicies::default();
    let writer = glsl::Writer::new(&mut text, &shader.module, &shader.info, &options, &pipeline, policies);
    writer.and_then(|mut writer| writer.write()).map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}
