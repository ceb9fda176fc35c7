#include "tools/connection_options.h"

#include "tools/command.h"

#include <errno.h>
#include <string.h>

bool connection_open(const char *command, const char *address, struct giro_client **out_client)
{
    struct giro_client_options options = {.address = address};
    int error = giro_client_open(&options, out_client);
    if (error == 0)
        return true;
    if (error == GIRO_EUNREACHABLE || error == GIRO_EADDRESS)
        complain(command,
                 "%s: %s. Is the server running? giro serve --data DIR starts it; --connect "
                 "HOST:PORT tells where it is",
                 address, giro_error_text(error));
    else if (error == GIRO_ESYSTEM)
        complain(command, "%s: %s: %s", address, giro_error_text(error), strerror(errno));
    else
        complain(command, "%s: %s", address, giro_error_text(error));
    return false;
}

void connection_complain(const char *command, const char *doing, int error)
{
    const char *advice = giro_error_outcome_unknown(error)
                             ? "; run it again with the same ids: what is there already stays"
                             : "";
    complain(command, "%s: %s (%s)%s", doing, giro_error_text(error), giro_error_name(error),
             advice);
}
