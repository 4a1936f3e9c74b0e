/* The bundle of certificates that goes inside (--embed-ca): the file ca.pem beside this one. Who reads it is
   libraries/recipes/openssl_ca.c. */

__asm__(".section .rodata.monolisp_ca, \"a\"\n"
        ".globl monolisp_ca\n"
        "monolisp_ca:\n"
        ".incbin \"ca.pem\"\n"
        "monolisp_ca_end:\n"
        ".balign 8\n"
        ".globl monolisp_ca_size\n"
        "monolisp_ca_size:\n"
        ".quad monolisp_ca_end - monolisp_ca\n");
