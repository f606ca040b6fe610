import { CliError, type Io, write } from "../io.js";
import { parseOptions } from "../options.js";

const HELP = `usage: sluice completion
Prints a script by which bash completes sluice's command lines: source <(sluice completion)
`;

/** All that it knows it is told when it is asked: by each command's --help, by the daemons, by the database. */
const SCRIPT = `_sluice() {
  local current=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]} words
  if ((COMP_CWORD == 1)); then
    words=$(sluice --help | sed -n '/^Commands:/,/^$/s/^  \\([a-z-]*\\) .*/\\1/p')
  elif [[ $current == -* ]]; then
    words=$(sluice "$command" --help 2>/dev/null | grep -oE -- '(^|[ ,[])--[a-z][a-z-]*' | tr -d ' ,[' | sort -u)
  else
    case $command in
      appctl) words=$(sluice appctl list-commands 2>/dev/null | awk '/^  /{ print $1 }') ;;
      dpctl) words=$(sluice appctl list-commands 2>/dev/null | sed -n 's|^  dpctl/\\([^ ]*\\).*|\\1|p') ;;
      ofctl | vsctl | ovsdb-client | ovsdb-tool)
        words=$(sluice "$command" --help | sed -n '/^Commands:/,/^$/{s/\\[--[^]]*\\]//g;s/^ *\\([a-z][a-z-]*\\).*/\\1/p;}')
        ((COMP_CWORD > 2)) && words+=" $(sluice vsctl --no-wait --timeout=2 list-br 2>/dev/null)"
        ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -o bashdefault -F _sluice sluice
`;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, { help: { short: "h" } });
  if (args.length > 0) throw new CliError(`unexpected argument "${args[0]}" (try --help)`);
  await write(io.stdout, options.help ? HELP : SCRIPT);
  return 0;
}
