# What differs from system.xml (qemu_virt_aarch64) on qemu_virt_riscv64: devices and their interrupts.
s/phys_addr="0x9000000"/phys_addr="0x10000000"/
s/irq="33"/irq="10"/
s/phys_addr="0xa003000"/phys_addr="0x10008000"/
s/irq="79" id="1" trigger="edge"/irq="8" id="1"/
