#include "clients/c/giro.h"
#include "net/frame.h"

#include <stddef.h>

struct error {
    const char *name;
    const char *text;
    bool outcome_unknown;
};

static const struct error *error_find(int error)
{
    static const struct error errors[] = {{"GIRO_OK", "done", false},
#define ERROR_ROW(name, value, outcome_unknown, text) [-(value)] = {#name, text, outcome_unknown},
                                          GIRO_ERRORS(ERROR_ROW)
#undef ERROR_ROW
    };
    static const struct error unknown = {"unknown", "unknown", false};
    const int count = (int)(sizeof errors / sizeof *errors);
    return error <= 0 && error > -count ? &errors[-error] : &unknown;
}

const char *giro_error_name(int error)
{
    return error_find(error)->name;
}

const char *giro_error_text(int error)
{
    return error_find(error)->text;
}

bool giro_error_outcome_unknown(int error)
{
    return error_find(error)->outcome_unknown;
}

const char *giro_status_name(uint32_t status)
{
    return frame_status_name(status);
}

const char *giro_status_text(uint32_t status)
{
    return frame_status_meaning(status);
}
