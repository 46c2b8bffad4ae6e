//! Every provider in `shaders/load/` is valid WGSL and declares just the planes that its format has.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{ShaderStage, TypeInner};
use wavelane::dtype::DType;
use wavelane::quant::Format;

const KERNEL: &str = "
@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let w = weight_group(id.x);
    out[id.x] = weight_quad(w, 0u) + weight_quad(w, 3u) + weight_quad(w, 4u) + weight_quad(w, 7u);
}
";

#[test]
fn every_provider_validates_and_binds_the_planes_of_its_format() {
    let load = |stem: &str| {
        let path = format!("{}/shaders/load/{stem}.wgsl", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    for dtype in DType::WEIGHTS {
        let source = [&load("bits"), &load("quads"), &load(dtype.name()), KERNEL].join("\n");
        let module =
            naga::front::wgsl::parse_str(&source).unwrap_or_else(|error| panic!("{dtype}: {}", error.emit_to_string(&source)));
        // `unpack2x16float` is core WGSL; naga asks for a capability because some old GL drivers lack it.
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32);
        let info = validator.validate(&module).unwrap_or_else(|error| panic!("{dtype}: {}", error.emit_to_string(&source)));
        assert_eq!(module.entry_points[0].stage, ShaderStage::Compute);

        // The element of each plane divides the bytes that a unit has there, so a load never straddles two units.
        let format = Format::of(dtype).unwrap();
        for (binding, bytes) in [format.quants, format.scales, format.high].into_iter().enumerate() {
            let plane = module
                .global_variables
                .iter()
                .find(|(_, variable)| variable.binding.as_ref().is_some_and(|at| (at.group, at.binding) == (1, binding as u32)));
            assert_eq!(plane.is_some(), bytes > 0, "{dtype}: binding {binding}");
            let Some((handle, variable)) = plane else { continue };
            assert!(!info.get_entry_point(0)[handle].is_empty(), "{dtype}: binding {binding} is not read");
            let TypeInner::Array { stride, .. } = module.types[variable.ty].inner else { panic!("{dtype}: no array") };
            let shared_word = bytes == 2 && stride == 4;
            assert!(shared_word || bytes % stride as usize == 0, "{dtype}: binding {binding}, stride {stride}");
        }
    }
}
