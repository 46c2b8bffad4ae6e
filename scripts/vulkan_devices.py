"""Prints the name of every Vulkan device, one a line; prints nothing where there is no Vulkan loader or no device.

The loader is asked, not the folders that it reads: driver manifests often lie there without hardware to drive (Debian
ships those of all vendors in one package), and only creating an instance tells which of them work. Numbers and layouts
are those of the Vulkan 1.0 specification.
"""

import ctypes
import sys

STRUCTURE_TYPE_INSTANCE_CREATE_INFO = 1
SUCCESS = 0
# VkPhysicalDeviceProperties takes 824 bytes: five 32-bit fields, then `char deviceName[256]`.
PROPERTIES_BYTES = 824
NAME_OFFSET = 20
NAME_BYTES = 256


class InstanceCreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo: no application info, no layers, no extensions."""

    _fields_ = [
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application_info", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    ]


def device_names(vulkan):
    """The device names that the loader `vulkan` reports."""
    instance = ctypes.c_void_p()
    info = InstanceCreateInfo(type=STRUCTURE_TYPE_INSTANCE_CREATE_INFO)
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) != SUCCESS:
        return []
    count = ctypes.c_uint32()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    devices = (ctypes.c_void_p * count.value)()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), devices)
    names = []
    for device in devices[: count.value]:
        properties = (ctypes.c_char * PROPERTIES_BYTES)()
        vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(device), properties)
        name = properties.raw[NAME_OFFSET : NAME_OFFSET + NAME_BYTES].split(b"\0")[0]
        names.append(name.decode(errors="replace"))
    vulkan.vkDestroyInstance(instance, None)
    return names


def main():
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return 0
    for name in device_names(vulkan):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
