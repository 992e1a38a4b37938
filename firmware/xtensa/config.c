/* The core that binutils links for: every instruction that LLVM emits for the ESP32, S2 and S3.
   XTENSA_GNU_CONFIG loads it into Debian's xtensa-lx106-elf-ld (include/xtensa-dynconfig.h). */
#include "xtensa-dynconfig.h"
/* Instruction tables of the core de233_fpu, from QEMU's sources. */
#include "xtensa-modules.c.inc"

/* Unnamed fields are 0: little-endian, no CONST16, windowed ABI (xshal_abi). */
const struct xtensa_config_v1 xtensa_config_v1 = {
  .xchal_have_density = 1,
  .xchal_have_abs = 1,
  .xchal_have_addx = 1,
  .xchal_have_l32r = 1,
  .xshal_have_text_section_literals = 1,
  .xchal_have_mul16 = 1,
  .xchal_have_mul32 = 1,
  .xchal_have_mul32_high = 1,
  .xchal_have_div32 = 1,
  .xchal_have_nsa = 1,
  .xchal_have_minmax = 1,
  .xchal_have_sext = 1,
  .xchal_have_loops = 1,
  .xchal_have_threadptr = 1,
  .xchal_have_release_sync = 1,
  .xchal_have_s32c1i = 1,
  .xchal_have_booleans = 1,
  .xchal_have_fp = 1,
  .xchal_have_windowed = 1,
  .xchal_num_aregs = 64,
  .xchal_have_debug = 1,
  .xchal_max_instruction_size = 3,
  .xchal_inst_fetch_width = 4,
  .xthal_abi_call0 = 1,
};
const struct xtensa_config_v2 xtensa_config_v2 = { 0 };
