# Completes the arguments of dbmigrate in bash.  Nothing is run for it, and no
# database is asked.

_dbmigrate() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' other i
    local commands='init create up down redo switch status pending check version history push pull baseline manage adopt help'
    local options='--dir --format --schema --project --url --environment --registered --json --yes --quiet --no-color --no-env --help --version'

    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        other=${COMP_WORDS[i]}
        case " $commands migrate rollback new info " in *" $other "*) command=$other && break ;; esac
    done
    case $command in
        up | migrate | down | rollback) options+=' --to --single-transaction --dry-run' ;;
        redo) options+=' --to --dry-run' ;;
        adopt) options+=' --dry-run' ;;
        create | new) options+=' --split' ;;
        status | info) options+=' --check' ;;
    esac
    case $before in
        -d | --dir | pull)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            compopt -o filenames 2>/dev/null
            return ;;
        --format)
            mapfile -t COMPREPLY < <(compgen -W 'auto node-pg-migrate plain golang-migrate sqlx folders dbmate goose sql-migrate
                tern flyway diesel prisma' -- "$word")
            return ;;
        --environment)
            mapfile -t COMPREPLY < <(compgen -W 'development test staging production' -- "$word")
            return ;;
        --schema | --project | --url | --to) return ;;
    esac
    if [[ $word = -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    elif [ -z "$command" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    fi
}

complete -F _dbmigrate dbmigrate
